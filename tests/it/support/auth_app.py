"""The Flask service of the tests that says who may pass: forward-auth, and introspection of tokens."""

import base64
import logging
import sys
import threading
import time
import urllib.parse

from flask import Flask, Response, jsonify, redirect, request
from werkzeug.serving import make_server

app = Flask(__name__)
logging.getLogger("werkzeug").setLevel(logging.ERROR)
lock = threading.Lock()
seen = []


def note(**more):
    with lock:
        seen.append(
            dict(
                method=request.method,
                target=request.full_path,
                headers=[[name.lower(), value] for name, value in request.headers],
                body=request.get_data(as_text=True),
                **more,
            )
        )
        return len(seen)


@app.get("/seen")
def what_was_seen():
    with lock:
        return jsonify(seen)


@app.get("/count")
def count():
    with lock:
        return str(len(seen))


@app.route("/verify", methods=["GET", "POST", "HEAD"])
def verify():
    number = note()
    time.sleep(float(request.args.get("sleep", "0")))
    shown = request.headers.get("Authorization", "")
    if request.cookies.get("sid") == "good":
        shown = "Bearer good"
    if shown == "Bearer good":
        answer = Response("fine")
        answer.headers["X-User"] = "ann"
        answer.headers.add("X-Role", "reader")
        answer.headers.add("X-Role", "writer")
        answer.headers["X-Not-Asked-For"] = "1"
        answer.headers["X-Number"] = str(number)
        if request.args.get("cookie"):
            answer.set_cookie("session", f"of-{number}")
        return answer
    if shown == "Bearer forbidden":
        return Response("not you", 403, {"X-Why": "rules"})
    if shown == "Bearer broken":
        return Response("no", 500)
    if shown == "Bearer odd":
        return Response("no", 418)
    if "text/html" in request.headers.get("Accept", ""):
        answer = redirect("https://login.example/?from=" + request.headers["X-Forwarded-Uri"])
        answer.set_cookie("state", f"of-{number}")
        return answer
    return Response("who?", 401, {"WWW-Authenticate": 'Bearer realm="x"'})


TOKENS = {
    "good-token": dict(sub="ann", scope="read write", aud="orders", iss="https://issuer"),
    "list-token": dict(sub="bob", aud=["other", "orders"], iss="https://issuer"),
    "other-token": dict(sub="eve", aud="billing", iss="https://issuer"),
    "foreign-token": dict(sub="eve", aud="orders", iss="https://elsewhere"),
    "reader-token": dict(sub="rea", scope="read", aud="orders", iss="https://issuer"),
    "early-token": dict(sub="nbf", aud="orders", iss="https://issuer", nbf=time.time() + 3600),
    "past-token": dict(sub="exp", aud="orders", iss="https://issuer", exp=time.time() - 3600),
    "short-token": dict(sub="sho", aud="orders", iss="https://issuer"),
}


@app.post("/introspect")
def introspect():
    number = note()
    time.sleep(float(request.args.get("sleep", "0")))
    kind, _, credentials = request.headers.get("Authorization", "").partition(" ")
    pair = base64.b64decode(credentials).decode() if kind == "Basic" else ":"
    client, _, secret = (urllib.parse.unquote_plus(part) for part in pair.partition(":"))
    if (client, secret) != ("gate way", "s3cret: %&?"):
        return Response("who are you?", 401)
    token = request.form["token"]
    if token == "lying-token":
        return Response("{active: yes", content_type="application/json")
    if token == "text-token":
        return jsonify(active="true", sub="ann")
    claims = TOKENS.get(token)
    if claims is None:
        return jsonify(active=False, sub="ann")
    if token == "short-token":
        claims = dict(claims, exp=time.time() + 2, number=number)
    return jsonify(active=True, **claims)


server = make_server("127.0.0.1", int(sys.argv[1]), app, threaded=True)
print(f"listening 127.0.0.1:{server.port}", flush=True)
server.serve_forever()
