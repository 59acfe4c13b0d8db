"""The settings of gunicorn that never change; the others are passed as arguments."""

# No access log. In the error log, log_filter hides the tokens of links.
worker_class = "gthread"
graceful_timeout = 5
timeout = 120
# Newer versions open a control socket in the home directory by default, the same for every server.
control_socket_disable = True
