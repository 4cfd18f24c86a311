"""An SMTP server and a parser of mails, for tests.

serve: a real server (aiosmtpd). It prints each accepted mail as a line of JSON. The local part of an address selects how it
is treated: `later` is put off once, `never` is refused permanently, `hang` never gets a reply, all others are accepted. With
--refuse, every recipient gets that reply; with --refuse-greeting, every connection; with --refuse-starttls, STARTTLS. It also
prints the user of each login that it refuses.
read: parses the mails on stdin, each of which follows a line with its length, and prints each as a line of JSON.
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


def report(line):
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
            report({"hung": address})
            await asyncio.Event().wait()
        if local == "never":
            return f"550 5.1.1 <{address}>: no such user"
        if local == "later" and address not in self.put_off:
            self.put_off.add(address)
            report({"put_off": address})
            return "451 4.7.1 come back later"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 ok"

    async def handle_DATA(self, server, session, envelope):
        report({
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "tls": server.transport.get_extra_info("sslcontext") is not None,
            "user": session.auth_data.login.decode() if session.authenticated else None,
            "greeted": session.host_name,
            "connection": session.peer[1],
            "utf8": envelope.smtp_utf8,
            "mail": read(envelope.content),
        })
        return "250 2.0.0 ok"


class Session(SMTP):
    def __init__(self, *arguments, refusal_of_starttls, **options):
        self.refusal_of_starttls = refusal_of_starttls
        super().__init__(*arguments, **options)

    async def smtp_STARTTLS(self, argument):
        if self.refusal_of_starttls:
            await self.push(self.refusal_of_starttls)
        else:
            await super().smtp_STARTTLS(argument)


async def serve(options):
    context = None
    if options.certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(options.certificate, options.key)
    starttls = None if options.tls_first else context
    handler = Handler(options.refuse)

    def authenticate(server, session, envelope, mechanism, data):
        correct = (data.login, data.password) == (options.user.encode(), options.password.encode())
        if not correct:
            report({"refused_login": data.login.decode()})
        return AuthResult(success=correct, handled=correct, auth_data=data)

    def session():
        return Session(
            handler,
            refusal_of_starttls=options.refuse_starttls,
            hostname="mail.test",
            enable_SMTPUTF8=not options.no_utf8,
            tls_context=starttls,
            require_starttls=starttls is not None,
            authenticator=authenticate if options.user else None,
            auth_required=bool(options.user),
            auth_require_tls=False,
        )

    async def refuse_connection(reader, writer):
        writer.write(f"{options.refuse_greeting}\r\n".encode())
        await reader.read()
        writer.close()

    if options.refuse_greeting:
        listener = await asyncio.start_server(refuse_connection, "127.0.0.1", options.port)
    else:
        listener = await asyncio.get_running_loop().create_server(
            session, "127.0.0.1", options.port, ssl=context if options.tls_first else None
        )
    report({"listening": listener.sockets[0].getsockname()[1]})
    await echo()


async def echo():
    """Echoes each number from stdin. All earlier reports come before the echo, so the reader then has all of them."""
    loop, stdin = asyncio.get_running_loop(), asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin)
    while line := await stdin.readline():
        report({"echo": int(line)})


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["serve", "read"])
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--certificate")
    parser.add_argument("--key")
    parser.add_argument("--tls-first", action="store_true")
    parser.add_argument("--user", default="")
    parser.add_argument("--password", default="")
    parser.add_argument("--refuse")
    parser.add_argument("--refuse-greeting")
    parser.add_argument("--refuse-starttls")
    parser.add_argument("--no-utf8", action="store_true")
    options = parser.parse_args()
    # For example, that passwords are accepted in plain text.
    warnings.simplefilter("ignore")
    logging.disable()
    if options.command == "read":
        while length := sys.stdin.buffer.readline():
            report(read(sys.stdin.buffer.read(int(length))))
    else:
        asyncio.run(serve(options))


main()
