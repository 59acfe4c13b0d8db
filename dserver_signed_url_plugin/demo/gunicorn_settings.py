"""gunicorn's settings that are the same for every demo; the rest are its arguments."""

worker_class = "gthread"
graceful_timeout = 5
timeout = 120
# By default a newer gunicorn opens a socket in the home directory, the same one for every server.
control_socket_disable = True
