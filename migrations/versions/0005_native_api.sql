CREATE TABLE tiers (
    name VARCHAR(50) NOT NULL,
    requests_per_minute INTEGER,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_tiers PRIMARY KEY (name),
    CONSTRAINT ck_tiers_name CHECK (name ~ '^[a-z][a-z0-9-]*$'),
    CONSTRAINT ck_tiers_requests_per_minute CHECK (requests_per_minute BETWEEN 1 AND 1000000),
    CONSTRAINT ck_tiers_limited CHECK (requests_per_minute IS NOT NULL OR name IN ('basic', 'pro', 'enterprise'))
);

COMMENT ON TABLE tiers IS 'Without requests_per_minute the limit is that of the setting of the same name.';

INSERT INTO tiers (name) VALUES ('basic'), ('pro'), ('enterprise');

ALTER TABLE api_keys DROP CONSTRAINT ck_api_keys_rate_limit_tier;

ALTER TABLE api_keys ADD CONSTRAINT fk_api_keys_rate_limit_tier FOREIGN KEY(rate_limit_tier) REFERENCES tiers (name) ON DELETE RESTRICT;

ALTER TABLE api_keys ADD COLUMN requests_per_minute INTEGER;

ALTER TABLE api_keys ADD COLUMN allowed_addresses CIDR[];

ALTER TABLE api_keys ADD COLUMN daily_spend_cap NUMERIC(20, 8);

ALTER TABLE api_keys ADD COLUMN previous_hash VARCHAR(255);

ALTER TABLE api_keys ADD COLUMN previous_secret_id VARCHAR(16);

ALTER TABLE api_keys ADD COLUMN previous_expires_at TIMESTAMP WITH TIME ZONE;

ALTER TABLE api_keys ADD COLUMN revoked_at TIMESTAMP WITH TIME ZONE;

ALTER TABLE api_keys ADD CONSTRAINT uq_api_keys_previous_hash UNIQUE (previous_hash);

ALTER TABLE api_keys ADD CONSTRAINT ck_api_keys_requests_per_minute CHECK (requests_per_minute BETWEEN 1 AND 1000000);

ALTER TABLE api_keys ADD CONSTRAINT ck_api_keys_allowed_addresses CHECK (cardinality(allowed_addresses) BETWEEN 1 AND 100);

ALTER TABLE api_keys ADD CONSTRAINT ck_api_keys_daily_spend_cap CHECK (daily_spend_cap >= 0);

ALTER TABLE api_keys ADD CONSTRAINT ck_api_keys_permissions CHECK (jsonb_typeof(permissions) = 'array');

ALTER TABLE api_keys ADD CONSTRAINT ck_api_keys_previous CHECK (num_nulls(previous_hash, previous_secret_id, previous_expires_at) IN (0, 3));

CREATE TABLE key_spending (
    api_key_id UUID NOT NULL,
    day DATE NOT NULL,
    spent NUMERIC(20, 8) DEFAULT 0 NOT NULL,
    CONSTRAINT pk_key_spending PRIMARY KEY (api_key_id, day),
    CONSTRAINT ck_key_spending_spent CHECK (spent >= 0),
    CONSTRAINT fk_key_spending_api_key_id FOREIGN KEY(api_key_id) REFERENCES api_keys (id) ON DELETE CASCADE
);

COMMENT ON TABLE key_spending IS 'What a key with a cap placed on a day of UTC; written in the transaction of the orders.';

CREATE TABLE audit_log (
    id UUID DEFAULT uuid7() NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    actor VARCHAR(20) NOT NULL,
    actor_name VARCHAR(255) NOT NULL,
    actor_user_id UUID,
    actor_key_id UUID,
    address VARCHAR(64),
    request_id VARCHAR(64),
    action VARCHAR(100) NOT NULL,
    object_type VARCHAR(50) NOT NULL,
    object_id VARCHAR(255) NOT NULL,
    before JSONB,
    after JSONB,
    reason TEXT,
    CONSTRAINT pk_audit_log PRIMARY KEY (id),
    CONSTRAINT ck_audit_log_actor CHECK (actor IN ('key', 'operator'))
);

COMMENT ON TABLE audit_log IS 'Append-only; written by triggers on what operators change, while gateway.actor is set.';

CREATE INDEX idx_audit_log_object ON audit_log (object_type, object_id, id);

CREATE INDEX idx_audit_log_actor ON audit_log (actor_user_id, id);

ALTER TABLE idempotency_keys ALTER COLUMN order_id DROP NOT NULL;

ALTER TABLE idempotency_keys ADD COLUMN reply_status SMALLINT;

ALTER TABLE idempotency_keys ADD COLUMN reply TEXT;

ALTER TABLE idempotency_keys ADD CONSTRAINT ck_idempotency_keys_reply CHECK (num_nulls(reply_status, reply) IN (0, 2));

CREATE INDEX idx_orders_user_status ON orders (user_id, status, id);

CREATE INDEX idx_orders_user_service ON orders (user_id, service_id, id);

CREATE INDEX idx_orders_user_link ON orders (user_id, md5(link), id);
