{{ config(materialized='incremental', incremental_strategy=file_strategy(), indexes=raw_indexes()) }}

{{ landed_records('platform', 'campaigns', needs=['namespace', 'campaign_id', 'updated_at'], newest_counts=true) }}
