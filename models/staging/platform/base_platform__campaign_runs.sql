{{ config(materialized='incremental', incremental_strategy=file_strategy(), indexes=raw_indexes()) }}

{{ landed_records('platform', 'campaign_runs', needs=['namespace', 'campaign_run_id', 'updated_at']) }}
