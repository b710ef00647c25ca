CREATE SEQUENCE events_position_seq AS BIGINT;

ALTER TABLE events ADD COLUMN sequence BIGINT;

ALTER TABLE events ADD COLUMN position BIGINT;

ALTER TABLE events ALTER COLUMN position SET DEFAULT nextval('events_position_seq');

ALTER TABLE events ADD COLUMN relayed BOOLEAN DEFAULT true NOT NULL;

ALTER TABLE events ALTER COLUMN relayed SET DEFAULT false;

CREATE INDEX idx_events_unrelayed ON events (position) WHERE NOT relayed;

CREATE UNIQUE INDEX uq_events_object_sequence ON events (object_type, object_id, sequence);

DROP INDEX idx_events_object;

ALTER TABLE webhooks ADD COLUMN description VARCHAR(255);

ALTER TABLE webhooks ADD COLUMN previous_secret TEXT;

ALTER TABLE webhooks ADD COLUMN previous_expires_at TIMESTAMP WITH TIME ZONE;

ALTER TABLE webhooks ADD COLUMN failing_since TIMESTAMP WITH TIME ZONE;

ALTER TABLE webhooks ADD COLUMN disabled_reason VARCHAR(255);

ALTER TABLE webhooks ADD COLUMN updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL;

ALTER TABLE webhooks ADD CONSTRAINT ck_webhooks_url CHECK (length(url) <= 2048);

ALTER TABLE webhooks ADD CONSTRAINT ck_webhooks_previous CHECK (num_nulls(previous_secret, previous_expires_at) IN (0, 2));

CREATE TABLE webhook_queue (
    delivery_id UUID NOT NULL,
    webhook_id UUID NOT NULL,
    object_id UUID NOT NULL,
    sequence BIGINT NOT NULL,
    attempts INTEGER DEFAULT 0 NOT NULL,
    next_attempt_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_webhook_queue PRIMARY KEY (delivery_id),
    CONSTRAINT ck_webhook_queue_attempts CHECK (attempts >= 0),
    CONSTRAINT fk_webhook_queue_webhook_id FOREIGN KEY(webhook_id) REFERENCES webhooks (id) ON DELETE CASCADE
);

COMMENT ON TABLE webhook_queue IS 'Deliveries that have not ended. The first of an object at an endpoint goes before the next.';

CREATE INDEX idx_webhook_queue_due ON webhook_queue (webhook_id, next_attempt_at);

CREATE INDEX idx_webhook_queue_order ON webhook_queue (webhook_id, object_id, sequence);

CREATE TABLE webhook_deliveries (
    id UUID DEFAULT uuid7() NOT NULL,
    webhook_id UUID NOT NULL,
    event_id UUID NOT NULL,
    event_type VARCHAR(50) NOT NULL,
    state VARCHAR(20) DEFAULT 'pending' NOT NULL,
    attempts INTEGER DEFAULT 0 NOT NULL,
    last_status INTEGER,
    last_error VARCHAR(255),
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    ended_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_webhook_deliveries PRIMARY KEY (id),
    CONSTRAINT ck_webhook_deliveries_state CHECK (state IN ('pending', 'delivered', 'failed', 'dropped')),
    CONSTRAINT fk_webhook_deliveries_webhook_id FOREIGN KEY(webhook_id) REFERENCES webhooks (id) ON DELETE CASCADE
)
PARTITION BY RANGE (id);

COMMENT ON TABLE webhook_deliveries IS 'One row an event and endpoint, by day; days are dropped after thirty.';

CREATE INDEX idx_webhook_deliveries_webhook ON webhook_deliveries (webhook_id, id);

CREATE TABLE webhook_attempts (
    id UUID DEFAULT uuid7() NOT NULL,
    delivery_id UUID NOT NULL,
    webhook_id UUID NOT NULL,
    number INTEGER NOT NULL,
    status INTEGER,
    error VARCHAR(255),
    response TEXT,
    duration_ms INTEGER NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_webhook_attempts PRIMARY KEY (id)
)
PARTITION BY RANGE (id);

COMMENT ON TABLE webhook_attempts IS 'One row a call, by day; response is its first kilobyte.';

CREATE INDEX idx_webhook_attempts_delivery ON webhook_attempts (delivery_id, id);

CREATE INDEX idx_webhook_attempts_webhook ON webhook_attempts (webhook_id, id);
