"""A stand-in for the Hugging Face Hub: an HTTP server in a thread that takes repositories, files and commits."""

import base64
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "hf_stand_in_token_of_a_test"


class Hub(ThreadingHTTPServer):
    """Datasets by repository, each with its files by name. Large files go through the protocol of Git LFS."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.datasets: dict[str, dict[str, Any]] = {}
        self.blobs: dict[str, bytes] = {}
        self.commits: list[str] = []
        self.calls: list[str] = []
        self.refuse: dict[str, int] = {}
        """Statuses with which the paths that end in a word are refused."""

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *args):
        pass

    def answer(self, content, status=200):
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body)

    def read_body(self):
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def handle_call(self):
        hub, path = self.server, self.path.partition("?")[0]
        body = self.read_body()
        hub.calls.append(f"{self.command} {path}")
        refused = next((status for word, status in hub.refuse.items() if path.endswith(word)), None)
        if path.startswith("/blobs/"):
            hub.blobs[path.rpartition("/")[2]] = body
            self.answer({})
        elif self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self.answer({"error": "Invalid username or password."}, 401)
        elif refused:
            self.answer({"error": "You have no right to do this"}, refused)
        elif path == "/api/repos/create":
            self.create(json.loads(body))
        elif path == "/api/validate-yaml":
            self.answer({"warnings": [], "errors": []})
        elif path.endswith("/info/lfs/objects/batch"):
            self.batch(json.loads(body))
        else:
            _, _, owner, name, *rest = path.strip("/").split("/")
            self.serve(f"{owner}/{name}", rest, body)

    do_GET = do_POST = do_PUT = handle_call

    def create(self, asked):
        repo, hub = f"{asked['organization']}/{asked['name']}", self.server
        assert asked["type"] == "dataset"
        known = repo in hub.datasets
        if not known:
            private = asked.get("visibility") == "private" or bool(asked.get("private"))
            hub.datasets[repo] = {"private": private, "files": {}}
        found = {"url": f"{hub.url}/datasets/{repo}", "id": repo}
        self.answer(
            found | ({"error": "You already created this dataset repo"} if known else {}), 409 if known else 200
        )

    def batch(self, asked):
        where = {one["oid"]: {"upload": {"href": f"{self.server.url}/blobs/{one['oid']}"}} for one in asked["objects"]}
        self.answer(
            {"transfer": "basic", "objects": [one | {"actions": where[one["oid"]]} for one in asked["objects"]]}
        )

    def serve(self, repo, rest, body):
        hub = self.server
        if repo not in hub.datasets:
            return self.answer({"error": "Repository not found"}, 404)
        files = hub.datasets[repo]["files"]
        if rest[:1] == ["preupload"]:
            large = [one["path"].endswith(".safetensors") for one in json.loads(body)["files"]]
            modes = ["lfs" if one else "regular" for one in large]
            names = [one["path"] for one in json.loads(body)["files"]]
            found = zip(names, modes, strict=True)
            self.answer({"files": [{"path": n, "uploadMode": m, "shouldIgnore": False, "oid": None} for n, m in found]})
        elif rest[:1] == ["commit"]:
            for line in map(json.loads, body.splitlines()):
                value = line["value"]
                if line["key"] == "header":
                    hub.commits.append(value["summary"])
                elif line["key"] == "file":
                    files[value["path"]] = base64.b64decode(value["content"])
                else:
                    assert line["key"] == "lfsFile"
                    files[value["path"]] = hub.blobs[value["oid"]]
            place = f"{hub.url}/datasets/{repo}/commit/0"
            self.answer({"commitUrl": place, "commitOid": "0" * 40, "hookOutput": ""})
        else:
            self.answer({"id": repo, "private": hub.datasets[repo]["private"], "sha": "0" * 40, "siblings": []})


@contextmanager
def running_hub():
    hub = Hub()
    thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield hub
    hub.shutdown()
    hub.server_close()
    thread.join()
