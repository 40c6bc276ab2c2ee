-- The name may be "18beta1"; only the number can be compared: 180000, and 160004 for 16.4.
SELECT current_setting('server_version') AS version, current_setting('server_version_num')::integer AS number
