# One image for a laptop and for a GPU node: the torch wheels bring CUDA with them and run on
# a CPU too. The driver comes from the host (`docker run --gpus all`).
FROM python:3.11-slim

ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PYTHONUNBUFFERED=1

WORKDIR /opt/tuningfork

# The dependencies change less often than the code, so they are a layer of their own
COPY pyproject.toml constraints.txt ./
RUN python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" > requirements.txt \
    && python -m pip install -c constraints.txt -r requirements.txt

COPY README.md LICENSE ./
COPY pipeline pipeline
COPY models models
COPY flows flows
RUN python -m pip install --no-deps .

# Runs, stores and the tracking database are written to runs/ in the home: mount a volume there
RUN useradd --create-home galaxy
USER galaxy
WORKDIR /home/galaxy
RUN mkdir runs
COPY --chown=galaxy:galaxy configs configs
# What measures galaxies is compiled here; a processor of another kind compiles it again
RUN python -m pipeline.compilation

CMD ["tuningfork", "run", "configs/demo.yaml"]
