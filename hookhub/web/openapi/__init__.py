"""The API described: OpenAPI and AsyncAPI, made from what is served."""
