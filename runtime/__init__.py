"""How to talk to Kubernetes and stay alive: what the processes share and no rule depends on."""
