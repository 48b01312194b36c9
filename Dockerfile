# Deskhand in a container: CPU by default, CUDA by a build argument.
#
#   docker build -t deskhand .
#   docker build -t deskhand:cuda --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu130 .
#   docker run --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges \
#     -p 127.0.0.1:8080:8080 -v deskhand:/data deskhand
#
# The data folder /data is the only place that is written to.

FROM python:3.11-slim-bookworm AS build
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/deskhand
WORKDIR /src
COPY pyproject.toml constraints.txt README.md ./
COPY knowledge knowledge
COPY bot bot
COPY adapters adapters
COPY training training
RUN /opt/deskhand/bin/pip install --extra-index-url "$TORCH_INDEX" -c constraints.txt '.[postgres]'

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --home-dir /data --shell /usr/sbin/nologin deskhand \
  && install -d -o 10001 -g 10001 /data
COPY --from=build /opt/deskhand /opt/deskhand
# No bytecode is written at run time, and model libraries keep their caches with the data.
ENV PATH=/opt/deskhand/bin:$PATH \
  PYTHONDONTWRITEBYTECODE=1 \
  PYTHONUNBUFFERED=1 \
  HF_HOME=/data/huggingface \
  DESKHAND_HOME=/data \
  DESKHAND_SERVER__HOST=0.0.0.0
VOLUME /data
WORKDIR /data
USER 10001:10001
EXPOSE 8080
HEALTHCHECK --interval=15s --timeout=3s --start-period=60s CMD \
  ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8080/health', timeout=2)"]
ENTRYPOINT ["deskhand"]
CMD ["serve", "--sample"]
