-- Run once, when the volume is new: who the processes sign in as. `prosa migrate` gives prosa_app its rights.
-- To change the password later: ALTER ROLE prosa PASSWORD '...', as prosa_owner.
\getenv password DATABASE_PASSWORD
CREATE ROLE prosa_app NOLOGIN;
CREATE ROLE prosa LOGIN PASSWORD :'password' IN ROLE prosa_app;
