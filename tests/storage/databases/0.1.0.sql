BEGIN TRANSACTION;
CREATE TABLE activities (
	activity_id TEXT NOT NULL, 
	registration_id TEXT NOT NULL, 
	idempotency_key TEXT NOT NULL, 
	batch_id TEXT NOT NULL, 
	organization_id TEXT NOT NULL, 
	registered_by TEXT NOT NULL, 
	registered_by_roles TEXT NOT NULL, 
	attributed_to TEXT NOT NULL, 
	activity_type TEXT NOT NULL, 
	activity_date DATE NOT NULL, 
	duration_minutes INTEGER NOT NULL, 
	notes TEXT NOT NULL, 
	details TEXT NOT NULL, 
	override_of TEXT, 
	recorded_at TEXT NOT NULL, 
	CONSTRAINT pk_activities PRIMARY KEY (activity_id), 
	CONSTRAINT ck_activities_some_time CHECK (duration_minutes > 0), 
	CONSTRAINT ck_activities_two_people CHECK (registered_by <> attributed_to), 
	CONSTRAINT uq_activities_registration_id UNIQUE (registration_id)
);
INSERT INTO "activities" VALUES('dec1f0d0-9839-5092-abe8-97ddd327f6ac','bffc7a003bff448498797a4fe8b511f5:mentor-embla','bffc7a003bff448498797a4fe8b511f5:mentor-embla:0','bffc7a003bff448498797a4fe8b511f5','chapter-nowhere','coord-kari','coordinator','mentor-embla','group_meeting','2026-11-02',90,'Blåbærtur','{}',NULL,'2026-11-03T12:00:00+00:00');
INSERT INTO "activities" VALUES('36e1441c-a12d-5a11-8701-eb31320d9748','bffc7a003bff448498797a4fe8b511f5:mentor-ask','bffc7a003bff448498797a4fe8b511f5:mentor-ask:0','bffc7a003bff448498797a4fe8b511f5','chapter-nowhere','coord-kari','coordinator','mentor-ask','group_meeting','2026-11-02',90,'Blåbærtur','{}',NULL,'2026-11-03T12:00:00+00:00');
INSERT INTO "activities" VALUES('9b591153-ded9-5059-906f-d7ef5f232fac','9ac48c61dd8c4761b437d84ae06d9674:mentor-ask','9ac48c61dd8c4761b437d84ae06d9674:mentor-ask:0','9ac48c61dd8c4761b437d84ae06d9674','chapter-nowhere','coord-kari','coordinator','mentor-ask','visit','2026-11-02',90,'Blåbærtur','{}',NULL,'2026-11-03T12:00:00+00:00');
INSERT INTO "activities" VALUES('4a2f4c08-b85d-5e31-8820-339081bc0be2','9ac48c61dd8c4761b437d84ae06d9674:mentor-embla','9ac48c61dd8c4761b437d84ae06d9674:mentor-embla:0','9ac48c61dd8c4761b437d84ae06d9674','chapter-nowhere','coord-kari','coordinator','mentor-embla','visit','2026-11-02',90,'Blåbærtur','{}',NULL,'2026-11-03T12:00:00+00:00');
INSERT INTO "activities" VALUES('29b63393-2f52-54b4-bff8-3e1ef2c2820b','9ac48c61dd8c4761b437d84ae06d9674:mentor-idunn','9ac48c61dd8c4761b437d84ae06d9674:mentor-idunn:0','9ac48c61dd8c4761b437d84ae06d9674','chapter-nowhere','coord-kari','coordinator','mentor-idunn','visit','2026-11-02',90,'Blåbærtur','{}',NULL,'2026-11-03T12:00:00+00:00');
CREATE TABLE audit_events (
	id INTEGER NOT NULL, 
	event_id TEXT NOT NULL, 
	payload TEXT NOT NULL, 
	held_until DOUBLE NOT NULL, 
	delivered BOOLEAN NOT NULL, 
	CONSTRAINT pk_audit_events PRIMARY KEY (id), 
	CONSTRAINT uq_audit_events_event_id UNIQUE (event_id)
);
INSERT INTO "audit_events" VALUES(1,'bffc7a003bff448498797a4fe8b511f5:run-1','{"event_id": "bffc7a003bff448498797a4fe8b511f5:run-1", "batch_id": "bffc7a003bff448498797a4fe8b511f5", "run": 1, "coordinator_id": "coord-kari", "actor_id": "coord-kari", "organization_id": "chapter-nowhere", "status": "partial_success", "total": 3, "counts": {"failed": 1, "succeeded": 2}, "settled_at": "2026-11-03T12:00:00+00:00"}',1700000000.0,1);
CREATE TABLE batch_keys (
	organization_id TEXT NOT NULL, 
	coordinator_id TEXT NOT NULL, 
	idempotency_key TEXT NOT NULL, 
	fingerprint TEXT NOT NULL, 
	batch_id TEXT NOT NULL, 
	CONSTRAINT pk_batch_keys PRIMARY KEY (organization_id, coordinator_id, idempotency_key)
)
 WITHOUT ROWID

;
INSERT INTO "batch_keys" VALUES('chapter-nowhere','coord-kari','calls','20a8d8d853dccfda89feb20806a2e81f37777ef631def339828ad3cf8acf815c','43c2bae469a8443caae6d2a221beffee');
INSERT INTO "batch_keys" VALUES('chapter-nowhere','coord-kari','meeting','d640e85401f4c2a04a3dd2615690c0f5f96052216bde3cb3473496c2cab57954','bffc7a003bff448498797a4fe8b511f5');
INSERT INTO "batch_keys" VALUES('chapter-nowhere','coord-kari','visits','aa79fb81924ec3f9f9ea4014ca3ba4f98021e20a51d4bd0a4678fc0062d548c6','9ac48c61dd8c4761b437d84ae06d9674');
CREATE TABLE batches (
	id INTEGER NOT NULL, 
	batch_id TEXT NOT NULL, 
	organization_id TEXT NOT NULL, 
	coordinator_id TEXT NOT NULL, 
	label TEXT, 
	total INTEGER NOT NULL, 
	submitted_at TEXT NOT NULL, 
	run INTEGER NOT NULL, 
	CONSTRAINT pk_batches PRIMARY KEY (id), 
	CONSTRAINT uq_batches_batch_id UNIQUE (batch_id)
);
INSERT INTO "batches" VALUES(1,'bffc7a003bff448498797a4fe8b511f5','chapter-nowhere','coord-kari','meeting',3,'2026-11-03T12:00:00+00:00',1);
INSERT INTO "batches" VALUES(2,'43c2bae469a8443caae6d2a221beffee','chapter-nowhere','coord-kari','calls',2,'2026-11-03T12:00:00+00:00',1);
INSERT INTO "batches" VALUES(3,'9ac48c61dd8c4761b437d84ae06d9674','chapter-nowhere','coord-kari','visits',5,'2026-11-03T12:00:00+00:00',1);
CREATE TABLE items (
	batch INTEGER NOT NULL, 
	position INTEGER NOT NULL, 
	mentor_id TEXT NOT NULL, 
	activity TEXT NOT NULL, 
	CONSTRAINT pk_items PRIMARY KEY (batch, position), 
	CONSTRAINT fk_items_batch_batches FOREIGN KEY(batch) REFERENCES batches (id), 
	CONSTRAINT uq_items_batch_mentor_id UNIQUE (batch, mentor_id)
)
 WITHOUT ROWID

;
INSERT INTO "items" VALUES(1,0,'mentor-ask','{"activity_date":"2026-11-02","activity_type":"group_meeting","details":{},"duration_minutes":90,"notes":"Blåbærtur"}');
INSERT INTO "items" VALUES(1,1,'mentor-embla','{"activity_date":"2026-11-02","activity_type":"group_meeting","details":{},"duration_minutes":90,"notes":"Blåbærtur"}');
INSERT INTO "items" VALUES(1,2,'coord-kari','{"activity_date":"2026-11-02","activity_type":"group_meeting","details":{},"duration_minutes":90,"notes":"Blåbærtur"}');
INSERT INTO "items" VALUES(2,0,'mentor-ask','{"activity_date":"2026-11-02","activity_type":"phone_call","details":{},"duration_minutes":90,"notes":"Blåbærtur"}');
INSERT INTO "items" VALUES(2,1,'mentor-embla','{"activity_date":"2026-11-02","activity_type":"phone_call","details":{},"duration_minutes":90,"notes":"Blåbærtur"}');
INSERT INTO "items" VALUES(3,0,'mentor-ask','{"activity_date":"2026-11-02","activity_type":"visit","details":{},"duration_minutes":90,"notes":"Blåbærtur"}');
INSERT INTO "items" VALUES(3,1,'mentor-embla','{"activity_date":"2026-11-02","activity_type":"visit","details":{},"duration_minutes":90,"notes":"Blåbærtur"}');
INSERT INTO "items" VALUES(3,2,'mentor-idunn','{"activity_date":"2026-11-02","activity_type":"visit","details":{},"duration_minutes":90,"notes":"Blåbærtur"}');
INSERT INTO "items" VALUES(3,3,'mentor-loke','{"activity_date":"2026-11-02","activity_type":"visit","details":{},"duration_minutes":90,"notes":"Blåbærtur"}');
INSERT INTO "items" VALUES(3,4,'mentor-tor','{"activity_date":"2026-11-02","activity_type":"visit","details":{},"duration_minutes":90,"notes":"Blåbærtur"}');
CREATE TABLE outcomes (
	batch INTEGER NOT NULL, 
	sequence INTEGER NOT NULL, 
	run INTEGER NOT NULL, 
	item INTEGER NOT NULL, 
	state TEXT NOT NULL, 
	activity_id TEXT, 
	code TEXT, 
	message TEXT, 
	retryable BOOLEAN, 
	conflicting_activity_id TEXT, 
	attempts INTEGER NOT NULL, 
	settled_at TEXT NOT NULL, 
	epoch INTEGER NOT NULL, 
	in_doubt BOOLEAN NOT NULL, 
	CONSTRAINT pk_outcomes PRIMARY KEY (batch, sequence), 
	CONSTRAINT uq_outcomes_batch_item_run UNIQUE (batch, item, run)
)
 WITHOUT ROWID

;
INSERT INTO "outcomes" VALUES(1,1,1,2,'failed',NULL,'self_attribution','Coordinators cannot register an activity for themselves.',0,NULL,0,'2026-11-03T12:00:00+00:00',0,0);
INSERT INTO "outcomes" VALUES(1,2,1,1,'succeeded','dec1f0d0-9839-5092-abe8-97ddd327f6ac',NULL,NULL,NULL,NULL,1,'2026-11-03T12:00:00+00:00',0,0);
INSERT INTO "outcomes" VALUES(1,3,1,0,'succeeded','36e1441c-a12d-5a11-8701-eb31320d9748',NULL,NULL,NULL,NULL,1,'2026-11-03T12:00:00+00:00',0,0);
INSERT INTO "outcomes" VALUES(3,1,1,0,'succeeded','9b591153-ded9-5059-906f-d7ef5f232fac',NULL,NULL,NULL,NULL,1,'2026-11-03T12:00:00+00:00',0,0);
INSERT INTO "outcomes" VALUES(3,2,1,1,'succeeded','4a2f4c08-b85d-5e31-8820-339081bc0be2',NULL,NULL,NULL,NULL,1,'2026-11-03T12:00:00+00:00',0,0);
CREATE TABLE proxy_orchestration_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT proxy_orchestration_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "proxy_orchestration_version" VALUES('0001');
CREATE TABLE runs (
	batch INTEGER NOT NULL, 
	run INTEGER NOT NULL, 
	actor TEXT NOT NULL, 
	opened_at TEXT NOT NULL, 
	run_items INTEGER NOT NULL, 
	base INTEGER NOT NULL, 
	tail INTEGER NOT NULL, 
	claimed INTEGER DEFAULT '0' NOT NULL, 
	fence INTEGER DEFAULT '0' NOT NULL, 
	lease_until DOUBLE DEFAULT '0' NOT NULL, 
	driven_for DOUBLE DEFAULT '0' NOT NULL, 
	cancel_wished_at TEXT, 
	cancel_reason TEXT, 
	cancel_tail INTEGER, 
	settled_at TEXT, 
	status TEXT, 
	counts TEXT, 
	CONSTRAINT pk_runs PRIMARY KEY (batch, run), 
	CONSTRAINT fk_runs_batch_batches FOREIGN KEY(batch) REFERENCES batches (id)
)
 WITHOUT ROWID

;
INSERT INTO "runs" VALUES(1,1,'{"user_id": "coord-kari", "roles": ["coordinator"], "organization_id": "chapter-nowhere"}','2026-11-03T12:00:00+00:00',3,0,3,2,1,0.0,0.0,NULL,NULL,NULL,'2026-11-03T12:00:00+00:00','partial_success','{"failed": 1, "succeeded": 2}');
INSERT INTO "runs" VALUES(2,1,'{"user_id": "coord-kari", "roles": ["coordinator"], "organization_id": "chapter-nowhere"}','2026-11-03T12:00:00+00:00',2,0,0,0,0,0.0,0.0,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "runs" VALUES(3,1,'{"user_id": "coord-kari", "roles": ["coordinator"], "organization_id": "chapter-nowhere"}','2026-11-03T12:00:00+00:00',5,0,2,5,1,1700000000.0,0.0,NULL,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE work (
	batch INTEGER NOT NULL, 
	run INTEGER NOT NULL, 
	position INTEGER NOT NULL, 
	item INTEGER NOT NULL, 
	epoch INTEGER NOT NULL, 
	in_doubt BOOLEAN DEFAULT 0 NOT NULL, 
	CONSTRAINT pk_work PRIMARY KEY (batch, run, position)
)
 WITHOUT ROWID

;
INSERT INTO "work" VALUES(1,1,1,0,0,0);
INSERT INTO "work" VALUES(1,1,2,1,0,0);
INSERT INTO "work" VALUES(2,1,1,0,0,0);
INSERT INTO "work" VALUES(2,1,2,1,0,0);
INSERT INTO "work" VALUES(3,1,1,0,0,0);
INSERT INTO "work" VALUES(3,1,2,1,0,0);
INSERT INTO "work" VALUES(3,1,3,2,0,0);
INSERT INTO "work" VALUES(3,1,4,3,0,0);
INSERT INTO "work" VALUES(3,1,5,4,0,0);
CREATE INDEX ix_batches_of_coordinator ON batches (organization_id, coordinator_id, submitted_at, id);
CREATE INDEX ix_batches_of_organization ON batches (organization_id, submitted_at, id);
CREATE INDEX ix_runs_open ON runs (lease_until) WHERE settled_at IS NULL;
CREATE INDEX ix_audit_events_pending ON audit_events (held_until) WHERE delivered = 0;
CREATE INDEX ix_activities_of_batch ON activities (batch_id, attributed_to);
COMMIT;
