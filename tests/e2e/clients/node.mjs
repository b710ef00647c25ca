// A script of our day: fetch and URLSearchParams.
const [, , url, key] = process.argv;

async function ask(action, fields = {}) {
  const body = new URLSearchParams({ key, action, ...fields });
  const reply = await fetch(url, { method: "POST", body });
  return reply.json();
}

const api = {
  order: (fields) => ask("add", fields),
  status: (order) => ask("status", { order }),
  multiStatus: (orders) => ask("status", { orders: orders.join(",") }),
  services: () => ask("services"),
  refill: (order) => ask("refill", { order }),
  multiRefill: (orders) => ask("refill", { orders: orders.join(",") }),
  refillStatus: (refill) => ask("refill_status", { refill }),
  cancel: (orders) => ask("cancel", { orders: orders.join(",") }),
  balance: () => ask("balance"),
};

let input = "";
for await (const chunk of process.stdin) input += chunk;
const answers = [];
for (const [name, args] of JSON.parse(input)) answers.push(await api[name](...args));
console.log(JSON.stringify(answers));
