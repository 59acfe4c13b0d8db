# dserver with this plugin, the public MongoDB plugins and gunicorn; docker-compose.yml says what for.

FROM python:3.13.5-slim-bookworm AS wheel
WORKDIR /source
COPY pyproject.toml README.rst LICENSE ./
COPY dserver_signed_url_plugin dserver_signed_url_plugin
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.13.5-slim-bookworm AS environment
COPY docker/requirements.txt /requirements.txt
COPY --from=wheel /wheels /wheels
RUN python -m venv /opt/dserver \
    && /opt/dserver/bin/pip install --no-cache-dir --requirement /requirements.txt /wheels/*.whl \
    && /opt/dserver/bin/pip check

FROM python:3.13.5-slim-bookworm
# /keys is a volume's place: a new volume takes over whose it is.
RUN useradd --uid 10001 --create-home --shell /usr/sbin/nologin dserver \
    && install --directory --owner=dserver --group=dserver --mode=0700 /keys
COPY --from=environment /opt/dserver /opt/dserver
COPY docker/entrypoint.sh docker/gunicorn.conf.py docker/make_keys.py docker/cleanup_schedule.py \
    docker/store_setup.py \
    /opt/dserver/docker/
ENV PATH=/opt/dserver/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    FLASK_APP="dservercore:create_app()"
WORKDIR /home/dserver
USER 10001:10001
EXPOSE 5000
ENTRYPOINT ["/opt/dserver/docker/entrypoint.sh"]
CMD ["serve"]
