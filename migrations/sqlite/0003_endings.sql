-- Which API keys were deactivated and when, in that order: what a node reads so that a Redis that has not heard of it, or has
-- forgotten it, lets nothing be believed that was made of one.

CREATE INDEX api_keys_by_ending ON api_keys (deactivated_at, id) WHERE deactivated_at IS NOT NULL;
