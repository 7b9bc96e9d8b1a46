CREATE TABLE deliveries (
  id VARCHAR(64) NOT NULL,
  campaign TEXT NOT NULL,
  integration TEXT NOT NULL,
  namespace TEXT NOT NULL,
  dataset TEXT NOT NULL,
  slot TEXT NOT NULL,
  window_start TEXT,
  window_end TEXT,
  revision INTEGER NOT NULL,
  state TEXT NOT NULL,
  note TEXT NOT NULL,
  destination TEXT NOT NULL,
  rows BIGINT,
  invocation_id TEXT,
  reason TEXT,
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL,
  asked_by TEXT,
  corrects VARCHAR(64),
  holder TEXT,
  lease_until TEXT,
  fence INTEGER DEFAULT '0' NOT NULL,
  spooled_by TEXT,
  layout TEXT,
  since VARCHAR(64),
  rejected BIGINT,
  PRIMARY KEY (id),
  UNIQUE (campaign, integration, namespace, slot, window_start, window_end, revision)
);
CREATE INDEX deliveries_newest ON deliveries (slot, created_at);
CREATE TABLE layouts (
  campaign TEXT NOT NULL,
  integration TEXT NOT NULL,
  columns TEXT NOT NULL,
  kinds TEXT,
  labels TEXT,
  rows TEXT,
  created_at TEXT NOT NULL,
  PRIMARY KEY (campaign, integration)
);
CREATE TABLE meta (
  "key" TEXT NOT NULL,
  value TEXT,
  PRIMARY KEY ("key")
);
CREATE TABLE probes (
  destination VARCHAR(1024) NOT NULL,
  method TEXT,
  offers TEXT NOT NULL,
  software TEXT NOT NULL,
  probed_at TEXT NOT NULL,
  PRIMARY KEY (destination)
);
CREATE TABLE fetches (
  id VARCHAR(64) NOT NULL,
  delivery_id VARCHAR(64) NOT NULL,
  part INTEGER NOT NULL,
  login TEXT NOT NULL,
  door TEXT NOT NULL,
  at TEXT NOT NULL,
  start BIGINT NOT NULL,
  bytes BIGINT NOT NULL,
  size BIGINT NOT NULL,
  PRIMARY KEY (id),
  FOREIGN KEY(delivery_id) REFERENCES deliveries (id)
);
CREATE TABLE files (
  delivery_id VARCHAR(64) NOT NULL,
  part INTEGER NOT NULL,
  role TEXT NOT NULL,
  name TEXT NOT NULL,
  spool TEXT NOT NULL,
  state TEXT NOT NULL,
  rows BIGINT,
  bytes BIGINT NOT NULL,
  sha256 VARCHAR(64) NOT NULL,
  destination TEXT NOT NULL,
  updated_at TEXT NOT NULL,
  fence INTEGER DEFAULT '0' NOT NULL,
  PRIMARY KEY (delivery_id, part),
  FOREIGN KEY(delivery_id) REFERENCES deliveries (id)
);
CREATE TABLE steps (
  id INTEGER NOT NULL,
  delivery_id VARCHAR(64) NOT NULL,
  at TEXT NOT NULL,
  step TEXT NOT NULL,
  note TEXT NOT NULL,
  PRIMARY KEY (id),
  FOREIGN KEY(delivery_id) REFERENCES deliveries (id)
);
CREATE INDEX ix_steps_delivery_id ON steps (delivery_id);
CREATE TABLE deliveries (
  id VARCHAR(64) NOT NULL,
  campaign TEXT NOT NULL,
  integration TEXT NOT NULL,
  namespace TEXT NOT NULL,
  dataset TEXT NOT NULL,
  slot TEXT NOT NULL,
  window_start TEXT,
  window_end TEXT,
  revision INTEGER NOT NULL,
  state TEXT NOT NULL,
  note TEXT NOT NULL,
  destination TEXT NOT NULL,
  rows BIGINT,
  invocation_id TEXT,
  reason TEXT,
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL,
  asked_by TEXT,
  corrects VARCHAR(64),
  holder TEXT,
  lease_until TEXT,
  fence INTEGER DEFAULT '0' NOT NULL,
  spooled_by TEXT,
  layout TEXT,
  since VARCHAR(64),
  rejected BIGINT,
  PRIMARY KEY (id),
  UNIQUE (campaign, integration, namespace, slot, window_start, window_end, revision)
);
CREATE INDEX deliveries_newest ON deliveries (slot, created_at);
CREATE TABLE layouts (
  campaign TEXT NOT NULL,
  integration TEXT NOT NULL,
  columns TEXT NOT NULL,
  kinds TEXT,
  labels TEXT,
  rows TEXT,
  created_at TEXT NOT NULL,
  PRIMARY KEY (campaign, integration)
);
CREATE TABLE meta (
  key TEXT NOT NULL,
  value TEXT,
  PRIMARY KEY (key)
);
CREATE TABLE probes (
  destination VARCHAR(1024) NOT NULL,
  method TEXT,
  offers TEXT NOT NULL,
  software TEXT NOT NULL,
  probed_at TEXT NOT NULL,
  PRIMARY KEY (destination)
);
CREATE TABLE fetches (
  id VARCHAR(64) NOT NULL,
  delivery_id VARCHAR(64) NOT NULL,
  part INTEGER NOT NULL,
  login TEXT NOT NULL,
  door TEXT NOT NULL,
  at TEXT NOT NULL,
  start BIGINT NOT NULL,
  bytes BIGINT NOT NULL,
  size BIGINT NOT NULL,
  PRIMARY KEY (id),
  FOREIGN KEY(delivery_id) REFERENCES deliveries (id)
);
CREATE TABLE files (
  delivery_id VARCHAR(64) NOT NULL,
  part INTEGER NOT NULL,
  role TEXT NOT NULL,
  name TEXT NOT NULL,
  spool TEXT NOT NULL,
  state TEXT NOT NULL,
  rows BIGINT,
  bytes BIGINT NOT NULL,
  sha256 VARCHAR(64) NOT NULL,
  destination TEXT NOT NULL,
  updated_at TEXT NOT NULL,
  fence INTEGER DEFAULT '0' NOT NULL,
  PRIMARY KEY (delivery_id, part),
  FOREIGN KEY(delivery_id) REFERENCES deliveries (id)
);
CREATE TABLE steps (
  id SERIAL NOT NULL,
  delivery_id VARCHAR(64) NOT NULL,
  at TEXT NOT NULL,
  step TEXT NOT NULL,
  note TEXT NOT NULL,
  PRIMARY KEY (id),
  FOREIGN KEY(delivery_id) REFERENCES deliveries (id)
);
CREATE INDEX ix_steps_delivery_id ON steps (delivery_id)
