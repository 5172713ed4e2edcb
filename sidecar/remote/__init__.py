"""The bucket: what the sidecar asks of it (``store``) and the one way it is done (``s3``)."""
