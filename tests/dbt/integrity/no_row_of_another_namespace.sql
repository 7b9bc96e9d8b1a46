-- Each exported row carries its own client's campaign run, as it ran, and no email (nqe) belongs to two clients: it is
-- the one's who sent or delivered it; where none did, or several, of whom an event was received first, on whatever day.
-- Only the others' rows are at fault.
{{ config(meta={'bounded_by': 'event_day'}) }}

with esp_events as (

    select * from {{ ref('esp_events') }}
    where {{ is_under_test(['esp_events']) }}

),

-- Named once, and asked for only where an email is shared: what is named twice PostgreSQL reads whole, and keeps.
every_day as (

    select
        nqe,
        namespace,
        event,
        event_time
    from {{ ref('email_events') }}

),

campaign_runs as (

    select * from {{ ref('stg_platform__campaign_runs') }}

),

shared_emails as (

    select nqe
    from esp_events
    group by nqe
    having count(distinct namespace) > 1

),

received_first as (

    select
        every_day.nqe,
        every_day.namespace,
        min(case when every_day.event in ('send', 'deliver') then 0 else 1 end) as is_only_named,
        min(every_day.event_time) as event_time
    from every_day
    inner join shared_emails on every_day.nqe = shared_emails.nqe
    where exists (select 1 from shared_emails)
    group by every_day.nqe, every_day.namespace

),

placed as (

    select
        nqe,
        namespace,
        rank() over (partition by nqe order by is_only_named, event_time) as place,
        count(*) over (partition by nqe, is_only_named, event_time) as of_that_moment
    from received_first

),

not_its_owners as (

    -- Of those received in one and the same moment nobody can say whose it is.
    select
        nqe,
        namespace
    from placed
    where place > 1 or of_that_moment > 1

)

select
    esp_events.unique_key,
    esp_events.namespace,
    esp_events.event_day,
    esp_events.nqe,
    case when not_its_owners.nqe is null then 'not its run' else 'an email of two namespaces' end as fault
from esp_events
left join campaign_runs
    on esp_events.namespace = campaign_runs.namespace
    and esp_events.campaign_run_id = campaign_runs.campaign_run_id
    and esp_events.campaign_id = campaign_runs.campaign_id
    and esp_events.campaign_name = campaign_runs.campaign_name
    and esp_events.campaign_classification = campaign_runs.campaign_classification
    and esp_events.subject_line = campaign_runs.subject_line
    and esp_events.campaign_run_time = campaign_runs.campaign_run_time
left join not_its_owners
    on esp_events.nqe = not_its_owners.nqe
    and esp_events.namespace = not_its_owners.namespace
where campaign_runs.namespace is null or not_its_owners.nqe is not null
