"""HTTP: routes, bodies, schemas, errors and the audit of each request."""
