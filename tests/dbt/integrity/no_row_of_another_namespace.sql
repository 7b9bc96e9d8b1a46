-- Each exported row carries its own client's campaign run, as it ran, and no email (nqe) belongs to two clients.
{{ config(meta={'bounded_by': 'event_day'}) }}

with esp_events as (

    select * from {{ ref('esp_events') }}
    where {{ is_under_test(['esp_events']) }}

),

campaign_runs as (

    select * from {{ ref('stg_platform__campaign_runs') }}

),

shared_emails as (

    select nqe
    from esp_events
    group by nqe
    having count(distinct namespace) > 1

)

select
    esp_events.unique_key,
    esp_events.namespace,
    esp_events.nqe,
    case when shared_emails.nqe is null then 'not its run' else 'an email of two namespaces' end as fault
from esp_events
left join campaign_runs
    on esp_events.namespace = campaign_runs.namespace
    and esp_events.campaign_run_id = campaign_runs.campaign_run_id
    and esp_events.campaign_id = campaign_runs.campaign_id
    and esp_events.campaign_name = campaign_runs.campaign_name
    and esp_events.campaign_classification = campaign_runs.campaign_classification
    and esp_events.subject_line = campaign_runs.subject_line
    and esp_events.campaign_run_time = campaign_runs.campaign_run_time
left join shared_emails on esp_events.nqe = shared_emails.nqe
where campaign_runs.namespace is null or shared_emails.nqe is not null
