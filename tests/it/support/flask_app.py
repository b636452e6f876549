"""The Flask service of the tests: pages, JSON, an upload, an event stream, a slow answer."""

import hashlib
import logging
import os
import sys
import time

from flask import Flask, Response, jsonify, request
from werkzeug.serving import make_server

app = Flask(__name__)
logging.getLogger("werkzeug").setLevel(logging.ERROR)


@app.get("/")
def index():
    return "hello from flask\n"


@app.get("/who")
def who():
    """Which of several services this is."""
    return str(os.getpid())


@app.get("/data")
def data():
    return jsonify(items=[1, 2, 3], service="flask")


@app.get("/headers")
def headers():
    return jsonify(dict(request.headers))


@app.post("/upload")
def upload():
    digest, size = hashlib.sha256(), 0
    while piece := request.stream.read(65536):
        digest.update(piece)
        size += len(piece)
    return jsonify(size=size, sha256=digest.hexdigest())


@app.get("/slow")
def slow():
    time.sleep(float(request.args.get("seconds", "1")))
    return "slow but there\n"


@app.get("/events")
def events():
    def generate():
        for number in range(3):
            yield f"data: {number}\n\n"
            time.sleep(0.3)

    return Response(generate(), mimetype="text/event-stream")


server = make_server("127.0.0.1", int(sys.argv[1]), app, threaded=True)
print(f"listening 127.0.0.1:{server.port}", flush=True)
server.serve_forever()
