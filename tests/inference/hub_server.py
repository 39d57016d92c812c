"""The part of the Hugging Face hub's API that pushing and loading a run needs, on this machine."""

import base64
import hashlib
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote


class HubServer(ThreadingHTTPServer):
    """Repositories in memory; a commit replaces all that was there."""

    def __init__(self, token):
        super().__init__(("127.0.0.1", 0), Handler)
        self.token, self.files, self.asked = token, {}, []
        self.address = f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: HubServer

    def log_message(self, *arguments):
        pass

    def answer(self, content, status=200, **headers):
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Length": len(body), **headers}.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def commit(self):
        return hashlib.sha1(repr(sorted(self.server.files.items())).encode()).hexdigest()

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append(self.path)
        if self.headers.get("Authorization") != f"Bearer {self.server.token}":
            return self.answer({"error": "no token"}, 401)
        if self.path == "/api/repos/create":
            return self.answer({"url": f"{self.server.address}/me/run"})
        if self.path == "/api/validate-yaml":  # of the card
            return self.answer({"errors": [], "warnings": []})
        if "/preupload/" in self.path:
            files = json.loads(body)["files"]
            return self.answer(
                {
                    "files": [
                        {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in files
                    ]
                }
            )
        if "/commit/" in self.path:
            for line in map(json.loads, body.decode().splitlines()):
                if line["key"] == "file":
                    self.server.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            url = f"{self.server.address}/me/run/commit/{self.commit()}"
            return self.answer({"commitUrl": url, "commitOid": self.commit(), "pullRequestUrl": None})
        return self.answer({"error": self.path}, 404)

    def do_GET(self):
        path, files = unquote(self.path.partition("?")[0]), self.server.files
        self.server.asked.append(path)
        if not path.startswith(("/api/models/me/run", "/me/run")):
            return self.answer({"error": "no such repository"}, 404, X_Error_Code="RepoNotFound")
        if path.startswith("/api/models/me/run/tree"):
            listed = [
                {"type": "file", "path": n, "size": len(c), "oid": hashlib.sha1(c).hexdigest()}
                for n, c in files.items()
            ]
            return self.answer(listed)
        if path.startswith("/api/models/me/run"):
            about = {"id": "me/run", "modelId": "me/run", "sha": self.commit(), "private": False, "tags": []}
            return self.answer({**about, "siblings": [{"rfilename": name} for name in files]})
        name = path.split("/", 5)[5]
        if name not in files:
            return self.answer({"error": name}, 404, X_Error_Code="EntryNotFound")
        content = files[name]
        return self.answer(content, ETag=hashlib.sha1(content).hexdigest(), X_Repo_Commit=self.commit())

    do_HEAD = do_GET
