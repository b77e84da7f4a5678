"""The API described as OpenAPI, made from what is served."""
