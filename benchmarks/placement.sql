-- The writes of one placement (gateway/ledger/store.py, gateway/orders/store.py, gateway/events/store.py) as one
-- function call an order: what the gateway would be without sharing transactions between requests. Dispatchers are not
-- notified, since PostgreSQL commits those who notify one after the other, each with its own sync of the disk.
CREATE TABLE bench_buyers (n integer PRIMARY KEY, wallet_id uuid, user_id uuid, api_key_id uuid);
GRANT SELECT ON bench_buyers TO gateway_service;

CREATE FUNCTION bench_place(buyer integer, service uuid, provider uuid, price numeric, wanted integer)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  who bench_buyers;
  wallet wallets;
  placed uuid := uuid7();
  placed_number integer;
BEGIN
  SELECT * INTO STRICT who FROM bench_buyers WHERE n = buyer;
  SELECT * INTO STRICT wallet FROM wallets WHERE id = who.wallet_id FOR UPDATE;
  IF wallet.balance - wallet.hold_amount < price THEN
    RAISE EXCEPTION 'not enough funds';
  END IF;
  INSERT INTO ledger_references (wallet_id, wallet_seq, reference_type, reference_id, part, type)
  VALUES (wallet.id, wallet.last_seq + 1, 'order', placed, '', 'hold');
  UPDATE wallets SET hold_amount = wallet.hold_amount + price, last_seq = wallet.last_seq + 1 WHERE id = wallet.id;
  INSERT INTO ledger (id, user_id, wallet_id, wallet_seq, type, amount, balance_before, balance_after,
    hold_before, hold_after, reference_type, reference_id)
  VALUES (uuid7(), wallet.user_id, wallet.id, wallet.last_seq + 1, 'hold', price, wallet.balance, wallet.balance,
    wallet.hold_amount, wallet.hold_amount + price, 'order', placed);
  INSERT INTO orders (id, user_id, api_key_id, service_id, provider_id, link, quantity, price, currency, dispatch)
  VALUES (placed, who.user_id, who.api_key_id, service, provider, 'https://example.com/b/' || buyer, wanted, price,
    wallet.currency, 'queued')
  RETURNING number INTO placed_number;
  WITH added AS (
    INSERT INTO events (type, user_id, object_type, object_id, data, sequence)
    VALUES ('order.created', who.user_id, 'order', placed,
      jsonb_build_object('number', placed_number, 'status', 'pending', 'price', trim_scale(price)::text,
        'currency', wallet.currency), 1)
    RETURNING id, user_id)
  INSERT INTO event_outbox (event_id)
  SELECT a.id FROM added a WHERE EXISTS (SELECT FROM webhooks w WHERE w.user_id = a.user_id AND w.is_active);
  RETURN placed_number;
END $$;
