"""The controller: EdgeDevices get their bucket claims, EdgeWorkloads their pods, and both their status."""
