"""The second service: a page, and data as JSON."""

import os

from flask import Flask, jsonify

app = Flask(__name__)


@app.get("/")
def index():
    return "Hello from the inventory service!\n"


@app.get("/data")
def data():
    return jsonify(items=[{"name": "anchor", "stock": 3}, {"name": "rope", "stock": 41}])


if __name__ == "__main__":
    app.run(host="127.0.0.1", port=int(os.environ.get("PORT", "5002")))
