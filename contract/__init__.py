"""The words the webhook, the controller and the sidecar share.

Standard library only, and nothing here imports another room: what the webhook
writes into a pod and what the sidecar reads out of it is defined once, here.
"""
