{{ config(materialized='incremental', incremental_strategy=file_strategy(), indexes=raw_indexes()) }}

{{ landed_records('platform', 'journeys', needs=['namespace', 'journey_id', 'updated_at']) }}
