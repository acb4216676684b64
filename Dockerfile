# The backend under gunicorn: `docker build -t segmenter .`; see docker-compose.yml for how to run it, and
# docs/operations.md for what is in it.
ARG PYTHON_VERSION=3.11
FROM python:${PYTHON_VERSION}-slim AS packages

# PyTorch without CUDA, from its own index; TORCH=cuda is the ordinary index's, of gigabytes.
ARG TORCH=cpu
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
# pip's own settings, for a mirror or a folder of wheels.
ARG PIP_INDEX_URL
ARG PIP_FIND_LINKS

ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
WORKDIR /app

# Exactly what the locks list, each file with its SHA-256. What changes seldom comes first: torch is most of the image.
COPY locks/pip.txt locks/torch-cpu.txt locks/torch-cuda.txt locks/
RUN pip install --require-hashes -r locks/pip.txt
RUN [ "$TORCH" = cpu ] && pip install --require-hashes --no-deps --retries 1 --index-url "$TORCH_INDEX" -r locks/torch-cpu.txt || \
    { echo "PyTorch with CUDA, from the ordinary index"; pip install --require-hashes --no-deps -r locks/torch-cuda.txt; }
COPY locks/serve.txt locks/
RUN pip install --require-hashes --no-deps --only-binary :all: -r locks/serve.txt

# A third of that is never used here: what label-studio-sdk brings for images and for converting exports, tests, what C++
# extensions are built with, pip, and byte code of modules that are not imported. The import writes the byte code of those
# that are, for processes that cannot write any, and fails where something is missing. Python compares the times of both
# files in seconds, so the sources get one that no copy rounds.
RUN pip uninstall --yes --quiet opencv-python-headless datamodel-code-generator black nltk regex pip && \
    cd "$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" && \
    find torch/bin -mindepth 1 -maxdepth 1 ! -name torch_shm_manager -exec rm -r {} + && \
    rm -rf torch/include torch/test pandas/tests matplotlib/tests && \
    find . -name __pycache__ -prune -exec rm -r {} + && \
    find . -name '*.py' -exec touch --date=@0 {} + && \
    python -c "import filelock, flask, gunicorn.app.wsgiapp, gunicorn.workers.gthread, label_studio_ml.api, \
label_studio_sdk.client, label_studio_sdk.label_interface.interface, matplotlib.figure, matplotlib.backends.backend_svg, \
matplotlib.dates, numpy.ctypeslib, pandas, prometheus_client.multiprocess, pydantic_settings, rq, safetensors.torch, \
torch._dynamo"

FROM python:${PYTHON_VERSION}-slim
RUN useradd --uid 1000 --user-group --no-create-home --home-dir /data segmenter && install -d -o 1000 -g 1000 /data
COPY --from=packages /opt/venv /opt/venv
WORKDIR /app
COPY gunicorn.conf.py _wsgi.py model.py ./
COPY segmenter segmenter
COPY backend backend
COPY demo demo
RUN python -m compileall -q .

# The models, the training queue and nothing else are written: the rest of the file system may be read-only.
ENV PATH=/opt/venv/bin:$PATH MODEL_DIR=/data HOME=/tmp PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
VOLUME /data
USER 1000:1000
EXPOSE 9090
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 CMD ["python", "-c", "\
import http.client, os, sys; \
server = http.client.HTTPConnection('127.0.0.1', int(os.environ.get('PORT') or 9090), timeout=5); \
server.request('GET', '/health'); \
sys.exit(server.getresponse().status != 200)"]

# Not through a shell, so that gunicorn itself gets the signal to stop.
CMD ["gunicorn", "-c", "gunicorn.conf.py", "_wsgi:app"]
