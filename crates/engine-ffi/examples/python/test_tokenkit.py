"""The Python example at work: `cargo xtask capi` runs it."""

import ctypes
import json
import os
import pathlib
import re
import threading
import unittest

import tokenkit
from tokenkit import Engine, Request, TokenkitError

SECRET = bytes(range(32))
NOW = 1_790_000_000
LAYOUT = pathlib.Path(__file__).parents[2] / "tests" / "c" / "layout.h"

#: What the structs of C are called here.
NAMES = {
    "tk_bytes": tokenkit.Bytes,
    "tk_str": tokenkit.Str,
    "tk_config": tokenkit.Config,
    "tk_request": tokenkit.RawRequest,
    "tk_decision": tokenkit.RawDecision,
    "tk_header": tokenkit.Header,
    "tk_answer": tokenkit.RawAnswer,
    "tk_key": tokenkit.Key,
}


def engine(**settings):
    return Engine(secret=SECRET, max_keys=1000, **settings)


class Decisions(unittest.TestCase):
    def test_a_budget_ends(self):
        with engine() as gate:
            key = gate.mint(project="shop", hourly_limit=2)
            request = Request("192.0.2.7", {"Api-Key": key})
            seen = [gate.decide(request, NOW) for _ in range(3)]
            self.assertEqual([d.status for d in seen], [200, 200, 429])
            self.assertEqual([d.remaining for d in seen], [1, 0, 0])
            self.assertEqual(seen[2].reason, "hourly_limit")
            self.assertEqual(seen[2].retry_after_s, 2800)
            self.assertTrue(key[8:].startswith(seen[0].key_id))

    def test_what_is_sent_twice_is_no_key(self):
        with engine() as gate:
            key = gate.mint(project="shop")
            once, twice = [("api-key", key)], [("api-key", key), ("API-KEY", key)]
            self.assertTrue(gate.decide(Request("2001:db8::1", once)).allowed)
            self.assertEqual(gate.decide(Request("2001:db8::1", twice)).reason, "malformed_key")

    def test_a_key_from_elsewhere_is_revoked(self):
        with engine() as one, engine() as other:
            key = one.mint(project="shop")
            request = Request("192.0.2.7", {"api-key": key})
            self.assertEqual(other.decide(request).reason, "unknown_key")
            other.put(key, project="shop", ips=["192.0.2.0/24"])
            decision = other.decide(request)
            self.assertTrue(decision.allowed)
            other.revoke(decision.key_id)
            self.assertEqual(other.decide(request).reason, "revoked_key")

    def test_answers_are_those_of_every_gateway(self):
        with engine(origins="https://console.example.com", realm="shop") as gate:
            request = Request("192.0.2.7", {"Origin": "https://console.example.com"})
            answer = gate.render(gate.decide(request), request.origin)
            self.assertEqual(answer.status, 401)
            self.assertEqual(json.loads(answer.body)["reason"], "missing_key")
            self.assertEqual(answer.headers["content-type"], "application/problem+json")
            self.assertEqual(answer.headers["www-authenticate"], 'api-key realm="shop"')
            self.assertEqual(answer.headers["access-control-allow-origin"], request.origin)

    def test_threads_share_a_limit_to_the_unit(self):
        with engine() as gate:
            request = Request("192.0.2.7", {"api-key": gate.mint(project="p", hourly_limit=100)})
            admitted = []

            def ask():
                for _ in range(100):
                    if gate.decide(request, NOW).allowed:
                        admitted.append(1)

            threads = [threading.Thread(target=ask) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual(len(admitted), 100)


class Failures(unittest.TestCase):
    def test_errors_say_what_to_do(self):
        with self.assertRaisesRegex(TokenkitError, "window_s is 13.*multiple of 12"):
            engine(window_s=13)
        with self.assertRaisesRegex(TypeError, "no setting 'colour'"):
            engine(colour="blue")
        with engine() as gate, self.assertRaises(TokenkitError) as raised:
            gate.follow("/nowhere/tokenkit.db")
        self.assertEqual(raised.exception.result, "TK_ERR_STORE")

    def test_an_engine_that_was_freed_denies(self):
        gate = engine()
        request = Request("192.0.2.7", {"api-key": gate.mint(project="p")})
        self.assertTrue(gate.decide(request).allowed)
        gate.close()
        decision = gate.decide(request)
        self.assertEqual((decision.status, decision.reason), (503, "unusable"))
        self.assertEqual(gate.render(decision).status, 503)
        with self.assertRaises(TokenkitError):
            gate.close()

    def test_a_child_of_fork_is_denied(self):
        with engine() as gate:
            request = Request("192.0.2.7", {"api-key": gate.mint(project="p")})
            child = os.fork()
            if child == 0:
                os._exit(0 if gate.decide(request).reason == "unusable" else 1)
            self.assertEqual(os.waitpid(child, 0)[1], 0)
            self.assertTrue(gate.decide(request).allowed)


class Layout(unittest.TestCase):
    def test_structs_are_those_of_c(self):
        text = LAYOUT.read_text(encoding="utf-8")
        held = 0
        for name, size in re.findall(r"^SIZE\((\w+), (\d+)\)$", text, re.M):
            if name in NAMES:
                self.assertEqual(ctypes.sizeof(NAMES[name]), int(size), name)
                held += 1
        for name, member, place in re.findall(r"^LAYOUT\((\w+), (\w+), (\d+)\)$", text, re.M):
            if name in NAMES:
                self.assertEqual(getattr(NAMES[name], member).offset, int(place), (name, member))
        self.assertEqual(held, len(NAMES))

    def test_the_version_is_told(self):
        self.assertRegex(tokenkit.version(), r"^\d+\.\d+\.\d+$")


if __name__ == "__main__":
    unittest.main()
