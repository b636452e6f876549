"""The first service: one page."""

import os

from flask import Flask

app = Flask(__name__)


@app.get("/")
def index():
    return "Hello from the greeting service!\n"


if __name__ == "__main__":
    app.run(host="127.0.0.1", port=int(os.environ.get("PORT", "5001")))
