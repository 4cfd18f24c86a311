"""A mail server, and a reader of mails, for tests.

serve: a real server (aiosmtpd). Each mail that it took is a line of JSON on stdout. What comes before the @ of an address says how
it is treated: `later` is put off once, `never` is refused for good, `hang` never gets an answer, any other is taken. With
--refuse all are told that.
read: the mail on stdin as Python reads it, as JSON.
"""

import argparse
import asyncio
import email
import email.policy
import json
import logging
import ssl
import sys
import warnings

from aiosmtpd.smtp import SMTP, AuthResult


def read(content):
    mail = email.message_from_bytes(content, policy=email.policy.default)
    parts = [part for part in mail.walk() if not part.is_multipart()]
    return {
        "headers": [[name, str(value)] for name, value in mail.items()],
        "type": mail.get_content_type(),
        "parts": [
            {
                "type": part.get_content_type(),
                "encoding": part["content-transfer-encoding"],
                "text": part.get_content(),
            }
            for part in parts
        ],
        "defects": [str(defect) for part in mail.walk() for defect in part.defects]
        + [str(defect) for value in mail.values() for defect in value.defects],
    }


def say(line):
    print(json.dumps(line), flush=True)


class Handler:
    def __init__(self, refusal):
        self.refusal = refusal
        self.put_off = set()

    async def handle_RCPT(self, server, session, envelope, address, options):
        if self.refusal:
            return self.refusal
        local = address.split("@")[0]
        if local == "hang":
            say({"hung": address})
            await asyncio.Event().wait()
        if local == "never":
            return f"550 5.1.1 <{address}>: nobody of that name"
        if local == "later" and address not in self.put_off:
            self.put_off.add(address)
            say({"put_off": address})
            return "451 4.7.1 come back later"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 ok"

    async def handle_DATA(self, server, session, envelope):
        say({
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "tls": server.transport.get_extra_info("sslcontext") is not None,
            "user": session.auth_data.login.decode() if session.authenticated else None,
            "greeted": session.host_name,
            "connection": session.peer[1],
            "utf8": envelope.smtp_utf8,
            "mail": read(envelope.content),
        })
        return "250 2.0.0 taken"


async def serve(wanted):
    context = None
    if wanted.certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(wanted.certificate, wanted.key)
    starttls = None if wanted.tls_first else context
    handler = Handler(wanted.refuse)

    def authenticate(server, session, envelope, mechanism, data):
        good = (data.login, data.password) == (wanted.user.encode(), wanted.password.encode())
        return AuthResult(success=good, handled=good, auth_data=data)

    def session():
        return SMTP(
            handler,
            hostname="mail.test",
            enable_SMTPUTF8=not wanted.no_utf8,
            tls_context=starttls,
            require_starttls=starttls is not None,
            authenticator=authenticate if wanted.user else None,
            auth_required=bool(wanted.user),
            auth_require_tls=False,
        )

    loop = asyncio.get_running_loop()
    listener = await loop.create_server(
        session, "127.0.0.1", wanted.port, ssl=context if wanted.tls_first else None
    )
    say({"listening": listener.sockets[0].getsockname()[1]})
    await echo()


async def echo():
    """Says what it is told, after all that it has said before: then who listens knows that he has heard all of it."""
    loop, told = asyncio.get_running_loop(), asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(told), sys.stdin)
    while line := await told.readline():
        say({"told": int(line)})


def main():
    options = argparse.ArgumentParser()
    options.add_argument("what", choices=["serve", "read"])
    options.add_argument("--port", type=int, default=0)
    options.add_argument("--certificate")
    options.add_argument("--key")
    options.add_argument("--tls-first", action="store_true")
    options.add_argument("--user", default="")
    options.add_argument("--password", default="")
    options.add_argument("--refuse")
    options.add_argument("--no-utf8", action="store_true")
    wanted = options.parse_args()
    # That it is told to take passwords in the clear, for one.
    warnings.simplefilter("ignore")
    logging.disable()
    if wanted.what == "read":
        say(read(sys.stdin.buffer.read()))
    else:
        asyncio.run(serve(wanted))


main()
