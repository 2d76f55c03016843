"""An SMTP server, or mails to it: `mail.py serve | send`."""
import smtplib, sys, time
from email.message import EmailMessage

if sys.argv[1] == "serve":
    from aiosmtpd.controller import Controller
    from aiosmtpd.handlers import Sink

    Controller(Sink(), hostname="127.0.0.1", port=25).start()
    while True:
        time.sleep(3600)
else:
    with smtplib.SMTP("mail.example", 25) as server:
        for i in range(50):
            mail = EmailMessage()
            mail["From"], mail["To"], mail["Subject"] = "alice@example.org", "bob@example.org", f"Mail {i}"
            mail.set_content("Hello,\n\nthe batch job has ended.\n" * 20)
            mail.add_attachment(bytes(range(256)) * 400, maintype="application", subtype="octet-stream", filename="data")
            server.send_message(mail)
    print("50 mails with 100 KB each")
