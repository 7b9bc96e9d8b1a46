{{ config(materialized='incremental', incremental_strategy=file_strategy(), indexes=raw_indexes(['id_hash'])) }}

{{ landed_records('platform', 'unsubscribes', needs=['received_at'], id='unsubscribe_id') }}
