BEGIN TRANSACTION;
CREATE TABLE acknowledgements (
	id INTEGER NOT NULL, 
	notification_id TEXT NOT NULL, 
	mentor_id TEXT NOT NULL, 
	certificate_type TEXT NOT NULL, 
	threshold_tier TEXT NOT NULL, 
	acknowledged_by TEXT NOT NULL, 
	acknowledged_at TEXT NOT NULL, 
	note TEXT NOT NULL, 
	organization_id TEXT, 
	CONSTRAINT pk_acknowledgements PRIMARY KEY (id), 
	CONSTRAINT uq_acknowledgements_notification_id UNIQUE (notification_id)
);
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
	recorded_at TEXT NOT NULL, duplicate_key TEXT, voided_at TEXT, 
	CONSTRAINT pk_activities PRIMARY KEY (activity_id), 
	CONSTRAINT ck_activities_some_time CHECK (duration_minutes > 0), 
	CONSTRAINT ck_activities_two_people CHECK (registered_by <> attributed_to), 
	CONSTRAINT uq_activities_registration_id UNIQUE (registration_id)
);
INSERT INTO "activities" VALUES('be9f5357-2f98-54c8-bd25-a7212bdf539a','9dc63324e3d94c1fa5f70d5acd34cce1:mentor-ask','9dc63324e3d94c1fa5f70d5acd34cce1:mentor-ask:0','9dc63324e3d94c1fa5f70d5acd34cce1','chapter-nowhere','coord-kari','coordinator','mentor-ask','group_meeting','2026-11-02',90,'Blåbærtur','{}',NULL,'2026-11-03T12:00:00+00:00','2026-11-02:10:mentor-ask:group_meeting',NULL);
INSERT INTO "activities" VALUES('809ca686-a830-581a-a0da-e6c7e9727b92','9dc63324e3d94c1fa5f70d5acd34cce1:mentor-embla','9dc63324e3d94c1fa5f70d5acd34cce1:mentor-embla:0','9dc63324e3d94c1fa5f70d5acd34cce1','chapter-nowhere','coord-kari','coordinator','mentor-embla','group_meeting','2026-11-02',90,'Blåbærtur','{}',NULL,'2026-11-03T12:00:00+00:00','2026-11-02:12:mentor-embla:group_meeting',NULL);
INSERT INTO "activities" VALUES('48c5a3ce-f8e6-5d4f-bc02-0db77877d86b','b3623ab87c4640b79ce1745a9d61c4b8:mentor-ask','b3623ab87c4640b79ce1745a9d61c4b8:mentor-ask:0','b3623ab87c4640b79ce1745a9d61c4b8','chapter-nowhere','coord-kari','coordinator','mentor-ask','visit','2026-11-02',90,'Blåbærtur','{}',NULL,'2026-11-03T12:00:00+00:00','2026-11-02:10:mentor-ask:visit',NULL);
INSERT INTO "activities" VALUES('bcf34070-8dc9-5c45-ac8c-36221ee83fc2','b3623ab87c4640b79ce1745a9d61c4b8:mentor-embla','b3623ab87c4640b79ce1745a9d61c4b8:mentor-embla:0','b3623ab87c4640b79ce1745a9d61c4b8','chapter-nowhere','coord-kari','coordinator','mentor-embla','visit','2026-11-02',90,'Blåbærtur','{}',NULL,'2026-11-03T12:00:00+00:00','2026-11-02:12:mentor-embla:visit',NULL);
INSERT INTO "activities" VALUES('9af12d69-be53-504b-820f-4f65b2e9db78','b3623ab87c4640b79ce1745a9d61c4b8:mentor-idunn','b3623ab87c4640b79ce1745a9d61c4b8:mentor-idunn:0','b3623ab87c4640b79ce1745a9d61c4b8','chapter-nowhere','coord-kari','coordinator','mentor-idunn','visit','2026-11-02',90,'Blåbærtur','{}',NULL,'2026-11-03T12:00:00+00:00','2026-11-02:12:mentor-idunn:visit',NULL);
CREATE TABLE audit_events (
	id INTEGER NOT NULL, 
	event_id TEXT NOT NULL, 
	payload TEXT NOT NULL, 
	held_until DOUBLE NOT NULL, 
	delivered BOOLEAN NOT NULL, 
	CONSTRAINT pk_audit_events PRIMARY KEY (id), 
	CONSTRAINT uq_audit_events_event_id UNIQUE (event_id)
);
INSERT INTO "audit_events" VALUES(1,'9dc63324e3d94c1fa5f70d5acd34cce1:run-1','{"event_id": "9dc63324e3d94c1fa5f70d5acd34cce1:run-1", "batch_id": "9dc63324e3d94c1fa5f70d5acd34cce1", "run": 1, "coordinator_id": "coord-kari", "actor_id": "coord-kari", "organization_id": "chapter-nowhere", "status": "partial_success", "total": 3, "counts": {"failed": 1, "succeeded": 2}, "settled_at": "2026-11-03T12:00:00+00:00", "overrides": []}',1700000000.0,1);
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
INSERT INTO "batch_keys" VALUES('chapter-nowhere','coord-kari','calls','20a8d8d853dccfda89feb20806a2e81f37777ef631def339828ad3cf8acf815c','ab69c7b461d24d08898471fbcbc560d8');
INSERT INTO "batch_keys" VALUES('chapter-nowhere','coord-kari','meeting','d640e85401f4c2a04a3dd2615690c0f5f96052216bde3cb3473496c2cab57954','9dc63324e3d94c1fa5f70d5acd34cce1');
INSERT INTO "batch_keys" VALUES('chapter-nowhere','coord-kari','visits','aa79fb81924ec3f9f9ea4014ca3ba4f98021e20a51d4bd0a4678fc0062d548c6','b3623ab87c4640b79ce1745a9d61c4b8');
CREATE TABLE batches (
	id INTEGER NOT NULL, 
	batch_id TEXT NOT NULL, 
	organization_id TEXT NOT NULL, 
	coordinator_id TEXT NOT NULL, 
	label TEXT, 
	total INTEGER NOT NULL, 
	submitted_at TEXT NOT NULL, 
	run INTEGER NOT NULL, mode TEXT DEFAULT 'independent' NOT NULL, on_conflict TEXT DEFAULT 'review' NOT NULL, 
	CONSTRAINT pk_batches PRIMARY KEY (id), 
	CONSTRAINT uq_batches_batch_id UNIQUE (batch_id)
);
INSERT INTO "batches" VALUES(1,'9dc63324e3d94c1fa5f70d5acd34cce1','chapter-nowhere','coord-kari','meeting',3,'2026-11-03T12:00:00+00:00',1,'independent','review');
INSERT INTO "batches" VALUES(2,'ab69c7b461d24d08898471fbcbc560d8','chapter-nowhere','coord-kari','calls',2,'2026-11-03T12:00:00+00:00',1,'independent','review');
INSERT INTO "batches" VALUES(3,'b3623ab87c4640b79ce1745a9d61c4b8','chapter-nowhere','coord-kari','visits',5,'2026-11-03T12:00:00+00:00',1,'independent','review');
CREATE TABLE expiry_guards (
	mentor_id TEXT NOT NULL, 
	certificate_type TEXT NOT NULL, 
	notified_at TEXT, 
	ends_at TEXT, 
	CONSTRAINT pk_expiry_guards PRIMARY KEY (mentor_id, certificate_type)
)
 WITHOUT ROWID

;
INSERT INTO "expiry_guards" VALUES('mentor-ask','first_aid','2200-03-04T00:05:00+00:00','2200-03-21T00:00:00+00:00');
INSERT INTO "expiry_guards" VALUES('mentor-embla','first_aid','2200-03-04T00:05:00+00:00','2200-03-09T00:00:00+00:00');
INSERT INTO "expiry_guards" VALUES('mentor-idunn','first_aid','2200-03-04T00:05:00+00:00','2200-03-02T00:00:00+00:00');
INSERT INTO "expiry_guards" VALUES('mentor-loke','first_aid','2200-03-04T09:05:00+00:00','2200-04-21T00:00:00+00:00');
INSERT INTO "expiry_guards" VALUES('mentor-tor','first_aid','2200-03-04T09:05:00+00:00','2200-03-31T00:00:00+00:00');
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
CREATE TABLE mentor_visibility (
	mentor_id TEXT NOT NULL, 
	certificate_type TEXT NOT NULL, 
	ends_at TEXT NOT NULL, 
	suppressed_at TEXT, 
	previous_status TEXT, 
	CONSTRAINT pk_mentor_visibility PRIMARY KEY (mentor_id, certificate_type), 
	CONSTRAINT ck_mentor_visibility_named CHECK (mentor_id <> '' AND certificate_type <> '')
)
 WITHOUT ROWID

;
INSERT INTO "mentor_visibility" VALUES('mentor-ask','first_aid','2200-03-21T00:00:00+00:00',NULL,NULL);
INSERT INTO "mentor_visibility" VALUES('mentor-embla','first_aid','2200-03-09T00:00:00+00:00',NULL,NULL);
INSERT INTO "mentor_visibility" VALUES('mentor-idunn','first_aid','2200-03-02T00:00:00+00:00','2200-03-04T00:05:00+00:00','visible');
INSERT INTO "mentor_visibility" VALUES('mentor-loke','first_aid','2200-04-21T00:00:00+00:00',NULL,NULL);
INSERT INTO "mentor_visibility" VALUES('mentor-tor','first_aid','2200-03-31T00:00:00+00:00',NULL,NULL);
CREATE TABLE notification_runs (
	run_id TEXT NOT NULL, 
	as_of TEXT NOT NULL, 
	started_at TEXT NOT NULL, 
	duration DOUBLE NOT NULL, 
	by_tier TEXT NOT NULL, 
	processed INTEGER NOT NULL, 
	created INTEGER NOT NULL, 
	skipped INTEGER NOT NULL, 
	failed INTEGER NOT NULL, 
	error_codes TEXT NOT NULL, 
	CONSTRAINT pk_notification_runs PRIMARY KEY (run_id)
);
INSERT INTO "notification_runs" VALUES('c3b5a4b0-5609-5519-b93d-bbb2ef400888','2200-03-04T00:05:00+00:00','2200-03-04T00:05:00+00:00',0.0,'{"warning_30": 1, "urgent_7": 1, "lapsed": 1}',3,3,0,0,'{}');
INSERT INTO "notification_runs" VALUES('a93d6846-d182-5c38-9526-a07ce99e35d4','2200-03-04T09:05:00+00:00','2200-03-04T08:05:00+00:00',0.0,'{"advance_60": 1, "warning_30": 1}',2,2,0,0,'{}');
CREATE TABLE notifications (
	notification_id TEXT NOT NULL, 
	mentor_id TEXT NOT NULL, 
	certificate_type TEXT NOT NULL, 
	threshold_tier TEXT NOT NULL, 
	notification_window_start DATE NOT NULL, 
	audience TEXT NOT NULL, 
	recipient_id TEXT NOT NULL, 
	status TEXT NOT NULL, 
	title TEXT NOT NULL, 
	body TEXT NOT NULL, 
	deep_link TEXT, 
	ends_at TEXT NOT NULL, 
	created_at TEXT NOT NULL, 
	acknowledged_at TEXT, 
	acknowledged_by TEXT, 
	note TEXT NOT NULL, 
	organization_id TEXT, 
	digest_date DATE, 
	CONSTRAINT pk_notifications PRIMARY KEY (notification_id), 
	CONSTRAINT ck_notifications_named CHECK (mentor_id <> '' AND certificate_type <> '' AND recipient_id <> ''), 
	CONSTRAINT uq_notifications_key UNIQUE (mentor_id, certificate_type, threshold_tier, notification_window_start, audience, recipient_id)
);
INSERT INTO "notifications" VALUES('1edc47e3-5987-5826-a5c4-f6d565ddf5f9','mentor-ask','first_aid','warning_30','2200-02-18','mentor','mentor-ask','pending','Husk å fornye first_aid','Sertifikatet ditt for first_aid utløper 20. mars 2200 (om 16 dager). Meld deg på et kurs, så rekker du det.',NULL,'2200-03-21T00:00:00+00:00','2200-03-04T00:05:00+00:00',NULL,NULL,'',NULL,NULL);
INSERT INTO "notifications" VALUES('fd7bce88-f51a-5c90-9435-f94de34d59ff','mentor-ask','first_aid','warning_30','2200-02-18','coordinator','coord-kari','pending','Et sertifikat bør fornyes før 20. mars 2200','Sertifikatet til en likeperson for first_aid utløper 20. mars 2200 (om 16 dager). Minn gjerne om fornyelsen.',NULL,'2200-03-21T00:00:00+00:00','2200-03-04T00:05:00+00:00',NULL,NULL,'',NULL,'2200-03-04');
INSERT INTO "notifications" VALUES('869d7234-453b-57a4-ad62-36c049c435c9','mentor-embla','first_aid','urgent_7','2200-03-01','mentor','mentor-embla','pending','Det haster: first_aid utløper 8. mars 2200','Sertifikatet ditt for first_aid utløper 8. mars 2200 (om 4 dager). Forny det nå.',NULL,'2200-03-09T00:00:00+00:00','2200-03-04T00:05:00+00:00',NULL,NULL,'',NULL,NULL);
INSERT INTO "notifications" VALUES('f6bf0547-5b8c-5f64-9017-c91a9c9d96b9','mentor-embla','first_aid','urgent_7','2200-03-01','coordinator','coord-kari','pending','Det haster: et sertifikat utløper 8. mars 2200','Sertifikatet til en likeperson for first_aid utløper 8. mars 2200 (om 4 dager). Ta kontakt og avtal fornyelse.',NULL,'2200-03-09T00:00:00+00:00','2200-03-04T00:05:00+00:00',NULL,NULL,'',NULL,'2200-03-04');
INSERT INTO "notifications" VALUES('7f18381d-62f0-57d1-83e1-8b7122209439','mentor-idunn','first_aid','lapsed','2200-03-02','mentor','mentor-idunn','pending','first_aid har utløpt','Sertifikatet ditt for first_aid utløp 1. mars 2200. Forny det for å fortsette som likeperson.',NULL,'2200-03-02T00:00:00+00:00','2200-03-04T00:05:00+00:00',NULL,NULL,'',NULL,NULL);
INSERT INTO "notifications" VALUES('adce8006-87fb-5c9d-84e3-0463e2ab6253','mentor-idunn','first_aid','lapsed','2200-03-02','coordinator','coord-kari','pending','Et sertifikat har utløpt','Sertifikatet til en likeperson for first_aid utløp 1. mars 2200. Ta kontakt og avtal fornyelse.',NULL,'2200-03-02T00:00:00+00:00','2200-03-04T00:05:00+00:00',NULL,NULL,'',NULL,'2200-03-04');
INSERT INTO "notifications" VALUES('92f49407-de7b-5ed8-b99a-1da5cd1049cb','mentor-loke','first_aid','advance_60','2200-02-19','mentor','mentor-loke','pending','first_aid utløper 20. april 2200','Sertifikatet ditt for first_aid utløper 20. april 2200 (om 47 dager). Du har god tid til å finne et kurs.',NULL,'2200-04-21T00:00:00+00:00','2200-03-04T09:05:00+00:00',NULL,NULL,'',NULL,NULL);
INSERT INTO "notifications" VALUES('d1e0e31f-33c7-5a71-ab91-e3b98860e273','mentor-loke','first_aid','advance_60','2200-02-19','coordinator','coord-kari','pending','Et sertifikat utløper 20. april 2200','Sertifikatet til en likeperson for first_aid utløper 20. april 2200 (om 47 dager).',NULL,'2200-04-21T00:00:00+00:00','2200-03-04T09:05:00+00:00',NULL,NULL,'',NULL,'2200-03-04');
INSERT INTO "notifications" VALUES('cf2146d7-c358-5e79-b26a-aaeb4c35f342','mentor-tor','first_aid','warning_30','2200-02-28','mentor','mentor-tor','pending','Husk å fornye first_aid','Sertifikatet ditt for first_aid utløper 30. mars 2200 (om 26 dager). Meld deg på et kurs, så rekker du det.',NULL,'2200-03-31T00:00:00+00:00','2200-03-04T09:05:00+00:00',NULL,NULL,'',NULL,NULL);
INSERT INTO "notifications" VALUES('b2bc8848-d692-5c50-8fef-1a525be5f681','mentor-tor','first_aid','warning_30','2200-02-28','coordinator','coord-kari','pending','Et sertifikat bør fornyes før 30. mars 2200','Sertifikatet til en likeperson for first_aid utløper 30. mars 2200 (om 26 dager). Minn gjerne om fornyelsen.',NULL,'2200-03-31T00:00:00+00:00','2200-03-04T09:05:00+00:00',NULL,NULL,'',NULL,'2200-03-04');
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
INSERT INTO "outcomes" VALUES(1,2,1,0,'succeeded','be9f5357-2f98-54c8-bd25-a7212bdf539a',NULL,NULL,NULL,NULL,1,'2026-11-03T12:00:00+00:00',0,0);
INSERT INTO "outcomes" VALUES(1,3,1,1,'succeeded','809ca686-a830-581a-a0da-e6c7e9727b92',NULL,NULL,NULL,NULL,1,'2026-11-03T12:00:00+00:00',0,0);
INSERT INTO "outcomes" VALUES(3,1,1,0,'succeeded','48c5a3ce-f8e6-5d4f-bc02-0db77877d86b',NULL,NULL,NULL,NULL,1,'2026-11-03T12:00:00+00:00',0,0);
INSERT INTO "outcomes" VALUES(3,2,1,1,'succeeded','bcf34070-8dc9-5c45-ac8c-36221ee83fc2',NULL,NULL,NULL,NULL,1,'2026-11-03T12:00:00+00:00',0,0);
CREATE TABLE proxy_orchestration_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT proxy_orchestration_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "proxy_orchestration_version" VALUES('0003');
CREATE TABLE push_outbox (
	message_id TEXT NOT NULL, 
	mentor_id TEXT, 
	certificate_type TEXT, 
	ends_at TEXT, 
	recipient_id TEXT NOT NULL, 
	state TEXT NOT NULL, 
	due_at TEXT NOT NULL, 
	lease_until DOUBLE, 
	token INTEGER NOT NULL, 
	attempts INTEGER NOT NULL, 
	payload TEXT NOT NULL, 
	expires_at TEXT NOT NULL, 
	code TEXT NOT NULL, 
	digest_date DATE, 
	CONSTRAINT pk_push_outbox PRIMARY KEY (message_id), 
	CONSTRAINT ck_push_outbox_addressed CHECK (recipient_id <> '')
);
INSERT INTO "push_outbox" VALUES('1edc47e3-5987-5826-a5c4-f6d565ddf5f9','mentor-ask','first_aid','2200-03-21T00:00:00+00:00','mentor-ask','sent','2200-03-04T00:05:00+00:00',NULL,1,1,'["1edc47e3-5987-5826-a5c4-f6d565ddf5f9","warning_30","Husk å fornye first_aid","Sertifikatet ditt for first_aid utløper 20. mars 2200 (om 16 dager). Meld deg på et kurs, så rekker du det.","certificate-expiry-first_aid",{"notification_type":"certificate_expiry","notification_id":"1edc47e3-5987-5826-a5c4-f6d565ddf5f9","threshold_tier":"warning_30","certificate_type":"first_aid","route":"/certificate/renew/cert-mentor-ask"}]','2200-03-13T00:00:00+00:00','',NULL);
INSERT INTO "push_outbox" VALUES('7f18381d-62f0-57d1-83e1-8b7122209439','mentor-idunn','first_aid','2200-03-02T00:00:00+00:00','mentor-idunn','sent','2200-03-04T00:05:00+00:00',NULL,1,1,'["7f18381d-62f0-57d1-83e1-8b7122209439","lapsed","first_aid har utløpt","Sertifikatet ditt for first_aid utløp 1. mars 2200. Forny det for å fortsette som likeperson.","certificate-expiry-first_aid",{"notification_type":"certificate_expiry","notification_id":"7f18381d-62f0-57d1-83e1-8b7122209439","threshold_tier":"lapsed","certificate_type":"first_aid","route":"/certificate/renew/cert-mentor-idunn"}]','2200-04-01T00:00:00+00:00','',NULL);
INSERT INTO "push_outbox" VALUES('869d7234-453b-57a4-ad62-36c049c435c9','mentor-embla','first_aid','2200-03-09T00:00:00+00:00','mentor-embla','sent','2200-03-04T00:05:00+00:00',NULL,1,1,'["869d7234-453b-57a4-ad62-36c049c435c9","urgent_7","Det haster: first_aid utløper 8. mars 2200","Sertifikatet ditt for first_aid utløper 8. mars 2200 (om 4 dager). Forny det nå.","certificate-expiry-first_aid",{"notification_type":"certificate_expiry","notification_id":"869d7234-453b-57a4-ad62-36c049c435c9","threshold_tier":"urgent_7","certificate_type":"first_aid","route":"/certificate/renew/cert-mentor-embla"}]','2200-03-09T00:00:00+00:00','',NULL);
INSERT INTO "push_outbox" VALUES('digest:coord-kari:2200-03-04',NULL,NULL,NULL,'coord-kari','sent','2200-03-04T00:05:00+00:00',NULL,1,1,'["digest:coord-kari:2200-03-04","warning_30","","","certificate-expiry-digest",{}]','2200-03-05T00:00:00+00:00','','2200-03-04');
INSERT INTO "push_outbox" VALUES('92f49407-de7b-5ed8-b99a-1da5cd1049cb','mentor-loke','first_aid','2200-04-21T00:00:00+00:00','mentor-loke','queued','2200-03-04T09:05:00+00:00',NULL,0,0,'["92f49407-de7b-5ed8-b99a-1da5cd1049cb","advance_60","first_aid utløper 20. april 2200","Sertifikatet ditt for first_aid utløper 20. april 2200 (om 47 dager). Du har god tid til å finne et kurs.","certificate-expiry-first_aid",{"notification_type":"certificate_expiry","notification_id":"92f49407-de7b-5ed8-b99a-1da5cd1049cb","threshold_tier":"advance_60","certificate_type":"first_aid","route":"/certificate/renew/cert-mentor-loke"}]','2200-03-21T00:00:00+00:00','',NULL);
INSERT INTO "push_outbox" VALUES('cf2146d7-c358-5e79-b26a-aaeb4c35f342','mentor-tor','first_aid','2200-03-31T00:00:00+00:00','mentor-tor','queued','2200-03-04T09:05:00+00:00',NULL,0,0,'["cf2146d7-c358-5e79-b26a-aaeb4c35f342","warning_30","Husk å fornye first_aid","Sertifikatet ditt for first_aid utløper 30. mars 2200 (om 26 dager). Meld deg på et kurs, så rekker du det.","certificate-expiry-first_aid",{"notification_type":"certificate_expiry","notification_id":"cf2146d7-c358-5e79-b26a-aaeb4c35f342","threshold_tier":"warning_30","certificate_type":"first_aid","route":"/certificate/renew/cert-mentor-tor"}]','2200-03-23T00:00:00+00:00','',NULL);
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
	in_doubt BOOLEAN DEFAULT 0 NOT NULL, override_of TEXT, override_by TEXT, override_at TEXT, 
	CONSTRAINT pk_work PRIMARY KEY (batch, run, position)
)
 WITHOUT ROWID

;
INSERT INTO "work" VALUES(1,1,1,0,0,0,NULL,NULL,NULL);
INSERT INTO "work" VALUES(1,1,2,1,0,0,NULL,NULL,NULL);
INSERT INTO "work" VALUES(2,1,1,0,0,0,NULL,NULL,NULL);
INSERT INTO "work" VALUES(2,1,2,1,0,0,NULL,NULL,NULL);
INSERT INTO "work" VALUES(3,1,1,0,0,0,NULL,NULL,NULL);
INSERT INTO "work" VALUES(3,1,2,1,0,0,NULL,NULL,NULL);
INSERT INTO "work" VALUES(3,1,3,2,0,0,NULL,NULL,NULL);
INSERT INTO "work" VALUES(3,1,4,3,0,0,NULL,NULL,NULL);
INSERT INTO "work" VALUES(3,1,5,4,0,0,NULL,NULL,NULL);
CREATE INDEX ix_batches_of_coordinator ON batches (organization_id, coordinator_id, submitted_at, id);
CREATE INDEX ix_batches_of_organization ON batches (organization_id, submitted_at, id);
CREATE INDEX ix_runs_open ON runs (lease_until) WHERE settled_at IS NULL;
CREATE INDEX ix_audit_events_pending ON audit_events (held_until) WHERE delivered = 0;
CREATE INDEX ix_activities_of_batch ON activities (batch_id, attributed_to);
CREATE UNIQUE INDEX uq_activities_original ON activities (organization_id, duplicate_key) WHERE voided_at IS NULL AND override_of IS NULL;
CREATE INDEX ix_activities_override ON activities (organization_id, duplicate_key) WHERE voided_at IS NULL AND override_of IS NOT NULL;
CREATE INDEX ix_notifications_inbox ON notifications (recipient_id, created_at, notification_id);
CREATE INDEX ix_notifications_digest ON notifications (recipient_id, digest_date) WHERE digest_date IS NOT NULL;
CREATE UNIQUE INDEX uq_push_outbox_digest ON push_outbox (recipient_id, digest_date) WHERE digest_date IS NOT NULL;
CREATE INDEX ix_push_outbox_due ON push_outbox (due_at) WHERE state = 'queued';
CREATE INDEX ix_push_outbox_leased ON push_outbox (lease_until) WHERE state = 'leased';
CREATE INDEX ix_push_outbox_of_certificate ON push_outbox (mentor_id, certificate_type) WHERE state IN ('queued', 'leased');
CREATE INDEX ix_acknowledgements_of_organization ON acknowledgements (organization_id, acknowledged_at, id);
COMMIT;
