import json
import urllib.error
import urllib.parse
import urllib.request

URL = "{{ url }}"
KEY = "YOUR_KEY"


class PanelError(Exception):
    """A refusal, in the panel's words."""


class Panel:
    def services(self):
        return self.ask("services")

    def add(self, service, **fields):
        """The fields are those of the service's type: link=…, quantity=…"""
        return self.ask("add", service=service, **fields)

    def status(self, order):
        return self.ask("status", order=order)

    def statuses(self, orders):
        """By order number."""
        return self.ask("status", orders=",".join(map(str, orders)))

    def refill(self, order):
        return self.ask("refill", order=order)

    def refill_status(self, refill):
        return self.ask("refill_status", refill=refill)

    def cancel(self, orders):
        return self.ask("cancel", orders=",".join(map(str, orders)))

    def balance(self):
        return self.ask("balance")

    def ask(self, action, **fields):
        body = urllib.parse.urlencode({"key": KEY, "action": action, **fields}).encode()
        try:
            with urllib.request.urlopen(URL, body, timeout=30) as response:
                reply = json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                reply = json.load(error)
        if isinstance(reply, dict) and "error" in reply:
            raise PanelError(reply["error"])
        return reply


panel = Panel()
print(json.dumps(panel.balance()))
