{{ config(materialized='incremental', incremental_strategy=file_strategy()) }}

{{ landed_records('platform', 'unsubscribes', needs=['received_at']) }}
