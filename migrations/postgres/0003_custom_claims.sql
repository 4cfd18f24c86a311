-- Claims that an administrator gave a user: a JSON object, as text, because it is copied into tokens byte for byte.

ALTER TABLE users ADD COLUMN custom_claims text;
