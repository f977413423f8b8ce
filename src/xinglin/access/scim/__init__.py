"""Staff accounts as a provisioning program sees them: SCIM 2.0 (RFC 7643, 7644), for one institution."""
