ALTER TABLE orders ADD COLUMN is_parent BOOLEAN DEFAULT false NOT NULL;

ALTER TABLE orders ADD COLUMN cancel_wanted BOOLEAN DEFAULT false NOT NULL;

ALTER TABLE api_keys ADD COLUMN replay_window_s INTEGER;

ALTER TABLE api_keys ADD COLUMN refuse_duplicates BOOLEAN DEFAULT false NOT NULL;

ALTER TABLE api_keys ADD CONSTRAINT ck_api_keys_replay_window_s CHECK (replay_window_s BETWEEN 1 AND 86400);

ALTER TABLE providers ADD COLUMN dialect VARCHAR(50) DEFAULT 'standard' NOT NULL;

ALTER TABLE providers ADD COLUMN honours_extension BOOLEAN DEFAULT false NOT NULL;

ALTER TABLE dispatch_attempts ADD COLUMN replayable BOOLEAN DEFAULT false NOT NULL;

ALTER TABLE dispatch_attempts ADD COLUMN resends INTEGER DEFAULT 0 NOT NULL;

CREATE INDEX idx_orders_active_link ON orders (user_id, service_id, md5(link)) WHERE status IN ('pending', 'processing');

CREATE SEQUENCE refills_number_seq START WITH 1 MAXVALUE 2147483647;

CREATE TABLE order_parents (
    order_id UUID NOT NULL,
    mode VARCHAR(20) NOT NULL,
    runs INTEGER,
    run_quantity INTEGER NOT NULL,
    run_price NUMERIC(20, 8) NOT NULL,
    interval_minutes INTEGER,
    held INTEGER NOT NULL,
    started INTEGER DEFAULT 0 NOT NULL,
    delivered_rest INTEGER DEFAULT 0 NOT NULL,
    state VARCHAR(20) DEFAULT 'active' NOT NULL,
    next_run_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_order_parents PRIMARY KEY (order_id),
    CONSTRAINT ck_order_parents_mode CHECK (mode IN ('own', 'upstream', 'subscription')),
    CONSTRAINT ck_order_parents_state CHECK (state IN ('active', 'paused', 'completed', 'expired', 'canceled')),
    CONSTRAINT ck_order_parents_run_quantity CHECK (run_quantity > 0),
    CONSTRAINT ck_order_parents_run_price CHECK (run_price >= 0),
    CONSTRAINT ck_order_parents_interval_minutes CHECK (interval_minutes > 0),
    CONSTRAINT ck_order_parents_held CHECK (0 <= started AND 0 <= delivered_rest AND started + delivered_rest <= held),
    CONSTRAINT ck_order_parents_runs CHECK (runs IS NULL OR held <= runs)
);

CREATE INDEX idx_order_parents_due ON order_parents (next_run_at) WHERE mode = 'own' AND state = 'active';

COMMENT ON TABLE order_parents IS 'held runs are paid for; started ones have children, delivered_rest ones were delivered without.';

CREATE TABLE order_children (
    parent_id UUID NOT NULL,
    run INTEGER NOT NULL,
    order_id UUID NOT NULL,
    CONSTRAINT pk_order_children PRIMARY KEY (parent_id, run),
    CONSTRAINT ck_order_children_run CHECK (run > 0),
    CONSTRAINT uq_order_children_order_id UNIQUE (order_id)
);

CREATE TABLE cancellations (
    order_id UUID NOT NULL,
    state VARCHAR(20) DEFAULT 'wanted' NOT NULL,
    reason TEXT,
    tries INTEGER DEFAULT 0 NOT NULL,
    next_try_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_cancellations PRIMARY KEY (order_id),
    CONSTRAINT ck_cancellations_state CHECK (state IN ('wanted', 'withdrawn', 'forwarded', 'refused', 'void', 'failed'))
);

CREATE INDEX idx_cancellations_wanted ON cancellations (next_try_at) WHERE state = 'wanted';

CREATE TABLE refills (
    id UUID DEFAULT uuid7() NOT NULL,
    number INTEGER DEFAULT nextval('refills_number_seq') NOT NULL,
    order_id UUID NOT NULL,
    user_id UUID NOT NULL,
    provider_id UUID NOT NULL,
    external_order_id VARCHAR(64) NOT NULL,
    state VARCHAR(20) DEFAULT 'requested' NOT NULL,
    upstream_id VARCHAR(64),
    upstream_status VARCHAR(50),
    reason TEXT,
    tries INTEGER DEFAULT 0 NOT NULL,
    next_try_at TIMESTAMP WITH TIME ZONE DEFAULT now(),
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    completed_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_refills PRIMARY KEY (id),
    CONSTRAINT ck_refills_state CHECK (state IN ('requested', 'accepted', 'refused', 'unknown', 'completed', 'rejected')),
    CONSTRAINT ck_refills_number CHECK (number > 0),
    CONSTRAINT uq_refills_number UNIQUE (number),
    CONSTRAINT fk_refills_user_id FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE RESTRICT,
    CONSTRAINT fk_refills_provider_id FOREIGN KEY(provider_id) REFERENCES providers (id) ON DELETE RESTRICT
);

CREATE INDEX idx_refills_due ON refills (provider_id, next_try_at) WHERE state IN ('requested', 'accepted');

CREATE INDEX idx_refills_order ON refills (order_id, id);

CREATE INDEX idx_refills_user_id ON refills (user_id);

CREATE UNIQUE INDEX uq_refills_open ON refills (order_id) WHERE state IN ('requested', 'accepted', 'unknown');

CREATE TABLE idempotency_keys (
    user_id UUID NOT NULL,
    key VARCHAR(128) NOT NULL,
    fields_hash BYTEA NOT NULL,
    order_id UUID NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_idempotency_keys PRIMARY KEY (user_id, key),
    CONSTRAINT fk_idempotency_keys_user_id FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE
);
