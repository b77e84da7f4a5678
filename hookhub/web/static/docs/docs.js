// A file of its own: the page's Content-Security-Policy allows no inline script.
SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  validatorUrl: null, // the default would send the description to another host
  presets: [SwaggerUIBundle.presets.apis],
  tryItOutEnabled: true,
});
