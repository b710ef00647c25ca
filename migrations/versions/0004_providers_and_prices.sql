ALTER TABLE providers ADD COLUMN exchange_rate NUMERIC(20, 8) DEFAULT 1 NOT NULL;

ALTER TABLE providers ADD COLUMN markup_fixed NUMERIC(20, 8) DEFAULT 0 NOT NULL;

ALTER TABLE providers ADD COLUMN price_step NUMERIC(20, 8);

ALTER TABLE providers ADD COLUMN margin_floor_percent NUMERIC(9, 4);

ALTER TABLE providers ADD COLUMN price_guard_percent NUMERIC(9, 4) DEFAULT 20 NOT NULL;

ALTER TABLE providers ADD COLUMN sends_per_second NUMERIC(9, 4);

ALTER TABLE providers ADD COLUMN probes BOOLEAN DEFAULT false NOT NULL;

ALTER TABLE providers ADD COLUMN hold_new BOOLEAN DEFAULT false NOT NULL;

ALTER TABLE providers ADD COLUMN synced_at TIMESTAMP WITH TIME ZONE;

ALTER TABLE providers ADD COLUMN sync_tried_at TIMESTAMP WITH TIME ZONE;

ALTER TABLE providers ADD COLUMN sync_error TEXT;

ALTER TABLE providers ADD COLUMN low_balance NUMERIC(20, 8);

ALTER TABLE providers ADD COLUMN balance_at TIMESTAMP WITH TIME ZONE;

ALTER TABLE services ADD COLUMN is_offered BOOLEAN DEFAULT true NOT NULL;

ALTER TABLE services ADD COLUMN below_floor BOOLEAN DEFAULT false NOT NULL;

ALTER TABLE services ADD COLUMN route_policy VARCHAR(20) DEFAULT 'priority' NOT NULL;

ALTER TABLE services ADD COLUMN hand_set TEXT[] DEFAULT '{}' NOT NULL;

ALTER TABLE service_routes ADD COLUMN is_source BOOLEAN DEFAULT false NOT NULL;

ALTER TABLE service_routes ADD COLUMN is_listed BOOLEAN DEFAULT true NOT NULL;

ALTER TABLE service_routes ADD COLUMN offered_cost NUMERIC(20, 8);

ALTER TABLE service_routes ADD COLUMN offered_at TIMESTAMP WITH TIME ZONE;

ALTER TABLE service_routes ADD COLUMN min_quantity INTEGER;

ALTER TABLE service_routes ADD COLUMN max_quantity INTEGER;

ALTER TABLE service_routes ADD COLUMN dripfeed BOOLEAN DEFAULT false NOT NULL;

ALTER TABLE service_routes ADD COLUMN refill BOOLEAN DEFAULT false NOT NULL;

ALTER TABLE service_routes ADD COLUMN cancel BOOLEAN DEFAULT false NOT NULL;

ALTER TABLE service_routes ADD COLUMN pause_cause VARCHAR(20);

ALTER TABLE orders ADD COLUMN upstream_charge NUMERIC(20, 8);

ALTER TABLE orders ADD COLUMN started_at TIMESTAMP WITH TIME ZONE;

ALTER TABLE dispatch_attempts ADD COLUMN considered JSONB;

ALTER TABLE dispatch_attempts ADD COLUMN probes INTEGER DEFAULT 0 NOT NULL;

ALTER TABLE dispatch_attempts ADD COLUMN next_probe_at TIMESTAMP WITH TIME ZONE;

ALTER TABLE alerts ADD COLUMN severity VARCHAR(20) DEFAULT 'warning' NOT NULL;

ALTER TABLE wallets ADD COLUMN low_balance NUMERIC(20, 8);

ALTER TABLE providers ADD CONSTRAINT ck_providers_exchange_rate CHECK (exchange_rate > 0);

ALTER TABLE providers ADD CONSTRAINT ck_providers_price_step CHECK (price_step > 0);

ALTER TABLE providers ADD CONSTRAINT ck_providers_margin_floor CHECK (margin_floor_percent < 100);

ALTER TABLE providers ADD CONSTRAINT ck_providers_price_guard CHECK (price_guard_percent > 0);

ALTER TABLE providers ADD CONSTRAINT ck_providers_sends_per_second CHECK (sends_per_second > 0);

ALTER TABLE services ADD CONSTRAINT ck_services_sale CHECK (NOT is_active OR (is_offered AND NOT below_floor));

ALTER TABLE services ADD CONSTRAINT ck_services_route_policy CHECK (route_policy IN ('priority', 'cheapest', 'weighted'));

ALTER TABLE service_routes ADD CONSTRAINT ck_service_routes_offered_cost CHECK (offered_cost >= 0);

ALTER TABLE service_routes ADD CONSTRAINT ck_service_routes_quantities CHECK (min_quantity > 0 AND min_quantity <= max_quantity);

ALTER TABLE service_routes ADD CONSTRAINT ck_service_routes_pause_cause CHECK (pause_cause IN ('refusal', 'funds', 'operator'));

ALTER TABLE orders ADD CONSTRAINT ck_orders_upstream_charge CHECK (upstream_charge >= 0);

ALTER TABLE alerts ADD CONSTRAINT ck_alerts_severity CHECK (severity IN ('info', 'warning', 'critical'));

ALTER TABLE wallets ADD CONSTRAINT ck_wallets_low_balance CHECK (low_balance >= 0);

CREATE TABLE markups (
    id UUID DEFAULT uuid7() NOT NULL,
    provider_id UUID,
    category VARCHAR(255),
    service_id UUID,
    percent NUMERIC(9, 4) DEFAULT 0 NOT NULL,
    fixed NUMERIC(20, 8) DEFAULT 0 NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_markups PRIMARY KEY (id),
    CONSTRAINT uq_markups_provider_id_category_service_id UNIQUE NULLS NOT DISTINCT (provider_id, category, service_id),
    CONSTRAINT ck_markups_percent CHECK (percent >= -100),
    CONSTRAINT ck_markups_scope CHECK ((service_id IS NULL) <> (category IS NULL) AND (service_id IS NULL OR provider_id IS NULL)),
    CONSTRAINT fk_markups_provider_id FOREIGN KEY(provider_id) REFERENCES providers (id) ON DELETE CASCADE,
    CONSTRAINT fk_markups_service_id FOREIGN KEY(service_id) REFERENCES services (id) ON DELETE CASCADE
);

COMMENT ON TABLE markups IS 'More special than the markup of a provider: a category, of one provider or of all, or a service.';

CREATE TABLE custom_prices (
    id UUID DEFAULT uuid7() NOT NULL,
    user_id UUID NOT NULL,
    service_id UUID,
    price NUMERIC(20, 8),
    percent NUMERIC(9, 4),
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_custom_prices PRIMARY KEY (id),
    CONSTRAINT uq_custom_prices_user_id_service_id UNIQUE NULLS NOT DISTINCT (user_id, service_id),
    CONSTRAINT ck_custom_prices_price CHECK (price >= 0),
    CONSTRAINT ck_custom_prices_percent CHECK (percent >= -100),
    CONSTRAINT ck_custom_prices_one CHECK ((price IS NULL) <> (percent IS NULL)),
    CONSTRAINT ck_custom_prices_scope CHECK (price IS NULL OR service_id IS NOT NULL),
    CONSTRAINT fk_custom_prices_user_id FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE,
    CONSTRAINT fk_custom_prices_service_id FOREIGN KEY(service_id) REFERENCES services (id) ON DELETE CASCADE
);

COMMENT ON TABLE custom_prices IS 'Of one user: a price of a service, or a percentage on its price; without service_id, on every one.';

CREATE TABLE catalog_changes (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    xid BIGINT DEFAULT ((pg_current_xact_id())::text)::bigint NOT NULL,
    service_id UUID NOT NULL,
    number INTEGER NOT NULL,
    kind VARCHAR(20) NOT NULL,
    before JSONB,
    after JSONB NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_catalog_changes PRIMARY KEY (id),
    CONSTRAINT ck_catalog_changes_kind CHECK (kind IN ('new', 'price', 'limits', 'off', 'on')),
    CONSTRAINT fk_catalog_changes_service_id FOREIGN KEY(service_id) REFERENCES services (id) ON DELETE CASCADE
);

COMMENT ON TABLE catalog_changes IS 'Written by a trigger on services; read in the order (xid, id), below the oldest open transaction.';

CREATE INDEX idx_catalog_changes_order ON catalog_changes (xid, id);

CREATE INDEX idx_catalog_changes_service ON catalog_changes (service_id, id);

CREATE TABLE provider_paces (
    provider_id UUID NOT NULL,
    next_send_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_provider_paces PRIMARY KEY (provider_id),
    CONSTRAINT fk_provider_paces_provider_id FOREIGN KEY(provider_id) REFERENCES providers (id) ON DELETE CASCADE
);

COMMENT ON TABLE provider_paces IS 'When the next order may go out to a provider that takes a number a second, over all workers.';

CREATE TABLE taught_words (
    provider_id UUID NOT NULL,
    words VARCHAR(500) NOT NULL,
    meaning VARCHAR(20) NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_taught_words PRIMARY KEY (provider_id, words),
    CONSTRAINT ck_taught_words_meaning CHECK (meaning IN ('refused', 'provider', 'passing')),
    CONSTRAINT fk_taught_words_provider_id FOREIGN KEY(provider_id) REFERENCES providers (id) ON DELETE CASCADE
);

COMMENT ON TABLE taught_words IS 'What an operator said that a refusal in a provider''s own words means; the words are casefolded.';

CREATE TABLE balance_readings (
    provider_id UUID NOT NULL,
    read_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    balance NUMERIC(20, 8) NOT NULL,
    CONSTRAINT pk_balance_readings PRIMARY KEY (provider_id, read_at),
    CONSTRAINT fk_balance_readings_provider_id FOREIGN KEY(provider_id) REFERENCES providers (id) ON DELETE CASCADE
);

CREATE TABLE provider_deposits (
    id UUID DEFAULT uuid7() NOT NULL,
    provider_id UUID NOT NULL,
    amount NUMERIC(20, 8) NOT NULL,
    reference VARCHAR(255) NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_provider_deposits PRIMARY KEY (id),
    CONSTRAINT uq_provider_deposits_provider_id_reference UNIQUE (provider_id, reference),
    CONSTRAINT ck_provider_deposits_amount CHECK (amount <> 0),
    CONSTRAINT fk_provider_deposits_provider_id FOREIGN KEY(provider_id) REFERENCES providers (id) ON DELETE CASCADE
);

COMMENT ON TABLE provider_deposits IS 'What the operator paid in there (or took out, below zero), in the provider''s currency.';

CREATE TABLE provider_days (
    provider_id UUID NOT NULL,
    day DATE NOT NULL,
    opening NUMERIC(20, 8) NOT NULL,
    closing NUMERIC(20, 8) NOT NULL,
    deposits NUMERIC(20, 8) NOT NULL,
    charged NUMERIC(20, 8) NOT NULL,
    returned NUMERIC(20, 8) NOT NULL,
    difference NUMERIC(20, 8) NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_provider_days PRIMARY KEY (provider_id, day),
    CONSTRAINT ck_provider_days_difference CHECK (difference = closing - (opening + deposits - charged + returned)),
    CONSTRAINT fk_provider_days_provider_id FOREIGN KEY(provider_id) REFERENCES providers (id) ON DELETE CASCADE
);

COMMENT ON TABLE provider_days IS 'A UTC day of our account there: what its balance did against what our orders say, in its currency.';

CREATE TABLE quality_days (
    route_id UUID NOT NULL,
    service_id UUID NOT NULL,
    day DATE NOT NULL,
    completed INTEGER DEFAULT 0 NOT NULL,
    partial INTEGER DEFAULT 0 NOT NULL,
    cancelled INTEGER DEFAULT 0 NOT NULL,
    refills INTEGER DEFAULT 0 NOT NULL,
    starts INTEGER[] DEFAULT '{}' NOT NULL,
    finishes INTEGER[] DEFAULT '{}' NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_quality_days PRIMARY KEY (route_id, day),
    CONSTRAINT ck_quality_days_counts CHECK (completed >= 0 AND partial >= 0 AND cancelled >= 0 AND refills >= 0),
    CONSTRAINT fk_quality_days_route_id FOREIGN KEY(route_id) REFERENCES service_routes (id) ON DELETE CASCADE,
    CONSTRAINT fk_quality_days_service_id FOREIGN KEY(service_id) REFERENCES services (id) ON DELETE CASCADE
);

COMMENT ON TABLE quality_days IS 'starts and finishes count orders by the logarithm of their seconds; see gateway/catalog/quality.';

CREATE INDEX idx_quality_days_service ON quality_days (service_id, day);

CREATE TABLE quality_progress (
    is_only BOOLEAN DEFAULT true NOT NULL,
    measured_at TIMESTAMP WITH TIME ZONE NOT NULL,
    due_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_quality_progress PRIMARY KEY (is_only),
    CONSTRAINT ck_quality_progress_is_only CHECK (is_only)
);

COMMENT ON TABLE quality_progress IS 'One row: quality_days has what ended before measured_at, and is counted further from due_at on.';

CREATE TABLE processes (
    id UUID NOT NULL,
    kind VARCHAR(20) NOT NULL,
    host VARCHAR(255) NOT NULL,
    pid INTEGER NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    seen_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_processes PRIMARY KEY (id),
    CONSTRAINT ck_processes_kind CHECK (kind IN ('serve', 'work'))
);

CREATE INDEX idx_processes_seen_at ON processes (seen_at);

CREATE TABLE alert_tellings (
    alert_id UUID NOT NULL,
    channel VARCHAR(20) NOT NULL,
    claimed_until TIMESTAMP WITH TIME ZONE,
    told_at TIMESTAMP WITH TIME ZONE,
    clearing_told_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_alert_tellings PRIMARY KEY (alert_id, channel),
    CONSTRAINT fk_alert_tellings_alert_id FOREIGN KEY(alert_id) REFERENCES alerts (id) ON DELETE CASCADE
);

COMMENT ON TABLE alert_tellings IS 'When an alert was last told through a channel; claimed while a process tells it.';

CREATE UNIQUE INDEX uq_service_routes_source ON service_routes (service_id) WHERE is_source;

CREATE INDEX idx_orders_completed_at ON orders (completed_at) WHERE completed_at IS NOT NULL;

CREATE INDEX idx_alerts_cleared ON alerts (cleared_at) WHERE cleared_at IS NOT NULL;

CREATE INDEX idx_dispatch_attempts_accepted ON dispatch_attempts (provider_id, finished_at) WHERE state = 'accepted';
