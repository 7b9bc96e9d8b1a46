{#- Kept by a full refresh: nothing else knows that what a record says was told before. -#}
{{ config(materialized='incremental', incremental_strategy='append', full_refresh=false) }}

with campaign_runs as (

    select * from {{ ref('stg_platform__campaign_runs') }}

),

known as (

    {{ earlier_run_versions() | indent(4) }}

)

select
    campaign_runs.namespace,
    campaign_runs.campaign_run_id,
    campaign_runs.run_version,
    campaign_runs.updated_at as told_at
from campaign_runs
left join known
    on campaign_runs.namespace = known.namespace
    and campaign_runs.campaign_run_id = known.campaign_run_id
    and campaign_runs.run_version = known.run_version
where known.run_version is null
