CREATE SEQUENCE services_number_seq START WITH 1 MAXVALUE 2147483647;

CREATE SEQUENCE orders_number_seq START WITH 100001 MAXVALUE 2147483647;

CREATE TABLE alerts (
    id UUID DEFAULT uuid7() NOT NULL,
    kind VARCHAR(50) NOT NULL,
    subject VARCHAR(255) NOT NULL,
    message TEXT NOT NULL,
    details JSONB DEFAULT '{}' NOT NULL,
    count INTEGER DEFAULT 1 NOT NULL,
    raised_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    last_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    cleared_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_alerts PRIMARY KEY (id)
);

CREATE UNIQUE INDEX uq_alerts_open ON alerts (kind, subject) WHERE cleared_at IS NULL;

CREATE TABLE order_events (
    id UUID DEFAULT uuid7() NOT NULL,
    order_id UUID NOT NULL,
    kind VARCHAR(50) NOT NULL,
    details JSONB DEFAULT '{}' NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_order_events PRIMARY KEY (id)
);

CREATE INDEX idx_order_events_order ON order_events (order_id, id);

CREATE TABLE order_months (
    month DATE NOT NULL,
    first_number INTEGER NOT NULL,
    last_number INTEGER NOT NULL,
    CONSTRAINT pk_order_months PRIMARY KEY (month),
    CONSTRAINT ck_order_months_numbers CHECK (first_number <= last_number)
);

COMMENT ON TABLE order_months IS 'The numbers that a closed month of orders holds; a month without a row is still open.';

CREATE TABLE providers (
    id UUID DEFAULT uuid7() NOT NULL,
    name VARCHAR(255) NOT NULL,
    api_endpoint TEXT NOT NULL,
    api_key_encrypted TEXT NOT NULL,
    is_active BOOLEAN DEFAULT true NOT NULL,
    priority INTEGER DEFAULT 0 NOT NULL,
    balance NUMERIC(20, 8),
    currency VARCHAR(10) DEFAULT 'USD' NOT NULL,
    markup_percent NUMERIC(9, 4) DEFAULT 0 NOT NULL,
    max_in_flight INTEGER,
    paused_until TIMESTAMP WITH TIME ZONE,
    paused_reason TEXT,
    metadata JSONB,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_providers PRIMARY KEY (id),
    CONSTRAINT ck_providers_currency CHECK (currency ~ '^[A-Z]{3}$'),
    CONSTRAINT ck_providers_markup CHECK (markup_percent >= -100),
    CONSTRAINT ck_providers_max_in_flight CHECK (max_in_flight > 0),
    CONSTRAINT uq_providers_name UNIQUE (name)
);

CREATE INDEX idx_providers_is_active ON providers (is_active);

CREATE INDEX idx_providers_priority ON providers (priority DESC);

CREATE TABLE services (
    id UUID DEFAULT uuid7() NOT NULL,
    number INTEGER DEFAULT nextval('services_number_seq') NOT NULL,
    name VARCHAR(255) NOT NULL,
    description TEXT,
    platform VARCHAR(50) NOT NULL,
    type VARCHAR(50) NOT NULL,
    category VARCHAR(255) NOT NULL,
    kind VARCHAR(50) DEFAULT 'Default' NOT NULL,
    price_per_1000 NUMERIC(20, 8) NOT NULL,
    currency VARCHAR(10) DEFAULT 'USD' NOT NULL,
    min_quantity INTEGER NOT NULL,
    max_quantity INTEGER NOT NULL,
    refill BOOLEAN DEFAULT false NOT NULL,
    cancel BOOLEAN DEFAULT false NOT NULL,
    dripfeed BOOLEAN DEFAULT false NOT NULL,
    is_active BOOLEAN DEFAULT true NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_services PRIMARY KEY (id),
    CONSTRAINT ck_services_price CHECK (price_per_1000 >= 0),
    CONSTRAINT ck_services_quantities CHECK (min_quantity > 0 AND min_quantity <= max_quantity),
    CONSTRAINT ck_services_currency CHECK (currency ~ '^[A-Z]{3}$'),
    CONSTRAINT ck_services_number CHECK (number > 0),
    CONSTRAINT uq_services_number UNIQUE (number)
);

CREATE INDEX idx_services_is_active ON services (is_active);

CREATE INDEX idx_services_platform ON services (platform);

CREATE INDEX idx_services_search ON services USING gin (to_tsvector('simple'::regconfig, (((name)::text || ' '::text) || (category)::text)));

CREATE INDEX idx_services_type ON services (type);

CREATE TABLE users (
    id UUID DEFAULT uuid7() NOT NULL,
    email VARCHAR(255) NOT NULL,
    password_hash VARCHAR(255) NOT NULL,
    role VARCHAR(50) DEFAULT 'user' NOT NULL,
    status VARCHAR(50) DEFAULT 'active' NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_users PRIMARY KEY (id),
    CONSTRAINT ck_users_role CHECK (role IN ('user', 'reseller', 'admin')),
    CONSTRAINT ck_users_status CHECK (status IN ('active', 'suspended', 'banned')),
    CONSTRAINT ck_users_email_lower CHECK (email = lower(email)),
    CONSTRAINT uq_users_email UNIQUE (email)
);

CREATE INDEX idx_users_email ON users (email);

CREATE INDEX idx_users_role ON users (role);

CREATE INDEX idx_users_status ON users (status);

CREATE TABLE api_keys (
    id UUID DEFAULT uuid7() NOT NULL,
    user_id UUID NOT NULL,
    key_hash VARCHAR(255) NOT NULL,
    secret_id VARCHAR(16) NOT NULL,
    name VARCHAR(255) NOT NULL,
    permissions JSONB,
    rate_limit_tier VARCHAR(50) DEFAULT 'basic' NOT NULL,
    currency VARCHAR(10) DEFAULT 'USD' NOT NULL,
    is_active BOOLEAN DEFAULT true NOT NULL,
    last_used_at TIMESTAMP WITH TIME ZONE,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_api_keys PRIMARY KEY (id),
    CONSTRAINT ck_api_keys_rate_limit_tier CHECK (rate_limit_tier IN ('basic', 'pro', 'enterprise')),
    CONSTRAINT ck_api_keys_currency CHECK (currency ~ '^[A-Z]{3}$'),
    CONSTRAINT fk_api_keys_user_id FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE,
    CONSTRAINT uq_api_keys_key_hash UNIQUE (key_hash)
);

CREATE INDEX idx_api_keys_is_active ON api_keys (is_active);

CREATE INDEX idx_api_keys_key_hash ON api_keys (key_hash);

CREATE INDEX idx_api_keys_user_id ON api_keys (user_id);

CREATE TABLE events (
    id UUID DEFAULT uuid7() NOT NULL,
    type VARCHAR(50) NOT NULL,
    user_id UUID,
    object_type VARCHAR(50) NOT NULL,
    object_id UUID NOT NULL,
    data JSONB DEFAULT '{}' NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_events PRIMARY KEY (id),
    CONSTRAINT fk_events_user_id FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE
);

CREATE INDEX idx_events_object ON events (object_type, object_id);

CREATE INDEX idx_events_user_id ON events (user_id);

CREATE TABLE service_routes (
    id UUID DEFAULT uuid7() NOT NULL,
    service_id UUID NOT NULL,
    provider_id UUID NOT NULL,
    provider_service_id VARCHAR(64) NOT NULL,
    cost_per_1000 NUMERIC(20, 8) NOT NULL,
    priority INTEGER DEFAULT 0 NOT NULL,
    weight INTEGER DEFAULT 1 NOT NULL,
    is_active BOOLEAN DEFAULT true NOT NULL,
    paused_until TIMESTAMP WITH TIME ZONE,
    paused_reason TEXT,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_service_routes PRIMARY KEY (id),
    CONSTRAINT uq_service_routes_service_id_provider_id_provider_service_id UNIQUE (service_id, provider_id, provider_service_id),
    CONSTRAINT ck_service_routes_cost CHECK (cost_per_1000 >= 0),
    CONSTRAINT ck_service_routes_weight CHECK (weight > 0),
    CONSTRAINT fk_service_routes_service_id FOREIGN KEY(service_id) REFERENCES services (id) ON DELETE CASCADE,
    CONSTRAINT fk_service_routes_provider_id FOREIGN KEY(provider_id) REFERENCES providers (id) ON DELETE RESTRICT
);

CREATE INDEX idx_service_routes_provider ON service_routes (provider_id, provider_service_id);

CREATE TABLE upstream_orders (
    provider_id UUID NOT NULL,
    upstream_id VARCHAR(64) NOT NULL,
    order_id UUID NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_upstream_orders PRIMARY KEY (provider_id, upstream_id),
    CONSTRAINT fk_upstream_orders_provider_id FOREIGN KEY(provider_id) REFERENCES providers (id) ON DELETE RESTRICT
);

CREATE INDEX idx_upstream_orders_order ON upstream_orders (order_id);

CREATE TABLE wallets (
    id UUID DEFAULT uuid7() NOT NULL,
    user_id UUID NOT NULL,
    balance NUMERIC(20, 8) DEFAULT 0 NOT NULL,
    currency VARCHAR(10) DEFAULT 'USD' NOT NULL,
    hold_amount NUMERIC(20, 8) DEFAULT 0 NOT NULL,
    last_seq BIGINT DEFAULT 0 NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_wallets PRIMARY KEY (id),
    CONSTRAINT uq_wallets_user_id_currency UNIQUE (user_id, currency),
    CONSTRAINT ck_wallets_funds CHECK (0 <= hold_amount AND hold_amount <= balance),
    CONSTRAINT ck_wallets_currency CHECK (currency ~ '^[A-Z]{3}$'),
    CONSTRAINT ck_wallets_last_seq CHECK (last_seq >= 0),
    CONSTRAINT fk_wallets_user_id FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE
);

CREATE INDEX idx_wallets_user_id ON wallets (user_id);

CREATE TABLE webhooks (
    id UUID DEFAULT uuid7() NOT NULL,
    user_id UUID NOT NULL,
    url TEXT NOT NULL,
    events TEXT[] NOT NULL,
    secret TEXT NOT NULL,
    is_active BOOLEAN DEFAULT true NOT NULL,
    last_triggered_at TIMESTAMP WITH TIME ZONE,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_webhooks PRIMARY KEY (id),
    CONSTRAINT ck_webhooks_events CHECK (cardinality(events) > 0),
    CONSTRAINT fk_webhooks_user_id FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE
);

CREATE INDEX idx_webhooks_is_active ON webhooks (is_active);

CREATE INDEX idx_webhooks_user_id ON webhooks (user_id);

CREATE TABLE dispatch_attempts (
    id UUID DEFAULT uuid7() NOT NULL,
    order_id UUID NOT NULL,
    run INTEGER DEFAULT 0 NOT NULL,
    provider_id UUID NOT NULL,
    route_id UUID,
    provider_service_id VARCHAR(64) NOT NULL,
    state VARCHAR(50) DEFAULT 'sending' NOT NULL,
    reason TEXT,
    evidence JSONB,
    upstream_id VARCHAR(64),
    cost NUMERIC(20, 8),
    loss NUMERIC(20, 8),
    started_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    lease_until TIMESTAMP WITH TIME ZONE NOT NULL,
    finished_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_dispatch_attempts PRIMARY KEY (id),
    CONSTRAINT ck_dispatch_attempts_state CHECK (state IN ('sending', 'accepted', 'refused', 'not_sent', 'unknown', 'written_off', 'not_placed')),
    CONSTRAINT ck_dispatch_attempts_loss CHECK (loss >= 0),
    CONSTRAINT ck_dispatch_attempts_cost CHECK (cost >= 0),
    CONSTRAINT fk_dispatch_attempts_provider_id FOREIGN KEY(provider_id) REFERENCES providers (id) ON DELETE RESTRICT,
    CONSTRAINT fk_dispatch_attempts_route_id FOREIGN KEY(route_id) REFERENCES service_routes (id) ON DELETE SET NULL
);

CREATE INDEX idx_dispatch_attempts_lease ON dispatch_attempts (lease_until) WHERE state = 'sending';

CREATE INDEX idx_dispatch_attempts_order ON dispatch_attempts (order_id, id);

CREATE INDEX idx_dispatch_attempts_route ON dispatch_attempts (route_id);

CREATE INDEX idx_dispatch_attempts_unknown ON dispatch_attempts (provider_id) WHERE state = 'unknown';

CREATE UNIQUE INDEX uq_dispatch_attempts_open ON dispatch_attempts (order_id, run) WHERE state IN ('sending', 'accepted', 'unknown', 'written_off');

CREATE TABLE ledger (
    id UUID DEFAULT uuid7() NOT NULL,
    user_id UUID NOT NULL,
    wallet_id UUID NOT NULL,
    wallet_seq BIGINT NOT NULL,
    type VARCHAR(50) NOT NULL,
    amount NUMERIC(20, 8) NOT NULL,
    balance_before NUMERIC(20, 8) NOT NULL,
    balance_after NUMERIC(20, 8) NOT NULL,
    hold_before NUMERIC(20, 8) NOT NULL,
    hold_after NUMERIC(20, 8) NOT NULL,
    reference_type VARCHAR(50) NOT NULL,
    reference_id UUID NOT NULL,
    description TEXT,
    metadata JSONB,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_ledger PRIMARY KEY (id),
    CONSTRAINT ck_ledger_type CHECK (type IN ('deposit', 'withdraw', 'hold', 'release', 'refund', 'fee')),
    CONSTRAINT ck_ledger_amount CHECK (amount > 0 OR (amount = 0 AND type IN ('hold', 'release', 'withdraw'))),
    CONSTRAINT ck_ledger_wallet_seq CHECK (wallet_seq >= 1),
    CONSTRAINT ck_ledger_balance CHECK (balance_after = balance_before + CASE type WHEN 'deposit' THEN amount WHEN 'refund' THEN amount WHEN 'withdraw' THEN -amount WHEN 'fee' THEN -amount ELSE 0 END),
    CONSTRAINT ck_ledger_hold CHECK (hold_after = hold_before + CASE type WHEN 'hold' THEN amount WHEN 'release' THEN -amount WHEN 'withdraw' THEN -amount ELSE 0 END),
    CONSTRAINT ck_ledger_funds_before CHECK (0 <= hold_before AND hold_before <= balance_before),
    CONSTRAINT ck_ledger_funds_after CHECK (0 <= hold_after AND hold_after <= balance_after),
    CONSTRAINT fk_ledger_user_id FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE RESTRICT,
    CONSTRAINT fk_ledger_wallet_id FOREIGN KEY(wallet_id) REFERENCES wallets (id) ON DELETE RESTRICT
)
 PARTITION BY RANGE (id);

CREATE INDEX idx_ledger_created_at ON ledger (created_at DESC);

CREATE INDEX idx_ledger_reference ON ledger (reference_type, reference_id);

CREATE INDEX idx_ledger_user_id ON ledger (user_id);

CREATE INDEX idx_ledger_wallet_id ON ledger (wallet_id);

CREATE INDEX idx_ledger_wallet_seq ON ledger (wallet_id, wallet_seq);

CREATE TABLE ledger_references (
    wallet_id UUID NOT NULL,
    wallet_seq BIGINT NOT NULL,
    reference_type VARCHAR(50) NOT NULL,
    reference_id UUID NOT NULL,
    part VARCHAR(100) DEFAULT '' NOT NULL,
    type VARCHAR(50) NOT NULL,
    CONSTRAINT pk_ledger_references PRIMARY KEY (wallet_id, wallet_seq),
    CONSTRAINT uq_ledger_references_once UNIQUE (reference_type, reference_id, part, type),
    CONSTRAINT fk_ledger_references_wallet_id FOREIGN KEY(wallet_id) REFERENCES wallets (id) ON DELETE RESTRICT
);

CREATE TABLE orders (
    id UUID DEFAULT uuid7() NOT NULL,
    number INTEGER DEFAULT nextval('orders_number_seq') NOT NULL,
    user_id UUID NOT NULL,
    api_key_id UUID,
    service_id UUID NOT NULL,
    provider_id UUID,
    external_order_id VARCHAR(255),
    parent_id UUID,
    link TEXT NOT NULL,
    quantity INTEGER NOT NULL,
    details JSONB DEFAULT '{}' NOT NULL,
    price NUMERIC(20, 8) NOT NULL,
    currency VARCHAR(10) DEFAULT 'USD' NOT NULL,
    charge NUMERIC(20, 8) DEFAULT 0 NOT NULL,
    cost NUMERIC(20, 8),
    status VARCHAR(50) DEFAULT 'pending' NOT NULL,
    dispatch VARCHAR(50) DEFAULT 'queued' NOT NULL,
    upstream_status VARCHAR(50),
    start_count BIGINT,
    remains INTEGER,
    not_sent_tries INTEGER DEFAULT 0 NOT NULL,
    check_failures INTEGER DEFAULT 0 NOT NULL,
    queued_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    next_attempt_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    next_check_at TIMESTAMP WITH TIME ZONE,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    completed_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_orders PRIMARY KEY (id),
    CONSTRAINT ck_orders_status CHECK (status IN ('pending', 'processing', 'completed', 'partial', 'cancelled', 'failed', 'refunded')),
    CONSTRAINT ck_orders_dispatch CHECK (dispatch IN ('queued', 'sending', 'accepted', 'refused', 'unknown', 'written_off', 'withdrawn', 'parent')),
    CONSTRAINT ck_orders_quantity CHECK (quantity > 0),
    CONSTRAINT ck_orders_price CHECK (price >= 0),
    CONSTRAINT ck_orders_charge CHECK (0 <= charge AND charge <= price),
    CONSTRAINT ck_orders_cost CHECK (cost >= 0),
    CONSTRAINT ck_orders_remains CHECK (0 <= remains AND remains <= quantity),
    CONSTRAINT ck_orders_number CHECK (number > 0),
    CONSTRAINT fk_orders_user_id FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE RESTRICT,
    CONSTRAINT fk_orders_api_key_id FOREIGN KEY(api_key_id) REFERENCES api_keys (id) ON DELETE SET NULL,
    CONSTRAINT fk_orders_service_id FOREIGN KEY(service_id) REFERENCES services (id) ON DELETE RESTRICT,
    CONSTRAINT fk_orders_provider_id FOREIGN KEY(provider_id) REFERENCES providers (id) ON DELETE RESTRICT
)
 PARTITION BY RANGE (id);

CREATE INDEX idx_orders_api_key_id ON orders (api_key_id);

CREATE INDEX idx_orders_created_at ON orders (created_at DESC);

CREATE INDEX idx_orders_due ON orders (provider_id, next_check_at) WHERE dispatch = 'accepted';

CREATE INDEX idx_orders_number ON orders (number);

CREATE INDEX idx_orders_parent_id ON orders (parent_id) WHERE parent_id IS NOT NULL;

CREATE INDEX idx_orders_provider_id ON orders (provider_id);

CREATE INDEX idx_orders_queued ON orders (provider_id, next_attempt_at) WHERE dispatch = 'queued';

CREATE INDEX idx_orders_service_id ON orders (service_id);

CREATE INDEX idx_orders_status ON orders (status);

CREATE INDEX idx_orders_unknown ON orders (id) WHERE dispatch = 'unknown';

CREATE INDEX idx_orders_user_id ON orders (user_id);

CREATE INDEX idx_orders_user_time ON orders (user_id, id);
