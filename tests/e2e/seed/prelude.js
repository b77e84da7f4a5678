// What the document's client leaves to the reader, and a keepalive that does not take 30 s.
globalThis.updateDashboard = (payload) => {
  console.log('Dashboard:', JSON.stringify(payload));
};
const realSetInterval = globalThis.setInterval;
globalThis.setInterval = (callback, delay, ...rest) =>
  realSetInterval(callback, delay === 30000 ? 50 : delay, ...rest);
