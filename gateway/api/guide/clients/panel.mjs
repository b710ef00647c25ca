const URL_OF_PANEL = "{{ url }}";
const KEY = "YOUR_KEY";

class Panel {
  services() {
    return this.ask("services");
  }

  // The fields are those of the service's type: { link: …, quantity: … }
  add(service, fields) {
    return this.ask("add", { service, ...fields });
  }

  status(order) {
    return this.ask("status", { order });
  }

  // By order number.
  statuses(orders) {
    return this.ask("status", { orders: orders.join(",") });
  }

  refill(order) {
    return this.ask("refill", { order });
  }

  refillStatus(refill) {
    return this.ask("refill_status", { refill });
  }

  cancel(orders) {
    return this.ask("cancel", { orders: orders.join(",") });
  }

  balance() {
    return this.ask("balance");
  }

  async ask(action, fields = {}) {
    const response = await fetch(URL_OF_PANEL, {
      method: "POST",
      body: new URLSearchParams({ key: KEY, action, ...fields }),
      signal: AbortSignal.timeout(30_000),
    });
    const reply = await response.json();
    if (reply.error) throw new Error(reply.error);
    return reply;
  }
}

const panel = new Panel();
console.log(JSON.stringify(await panel.balance()));
