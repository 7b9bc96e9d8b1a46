{{ config(materialized='incremental', incremental_strategy=file_strategy()) }}

{{ landed_records('platform', 'halts', needs=['received_at']) }}
