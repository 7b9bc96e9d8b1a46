{# What the loaders leave, apart from SendGrid's events: one folder or table an entity, by system. #}

{% macro entities() -%}
    {{ return({
        'platform': [
            'namespaces', 'campaigns', 'campaign_runs', 'audiences', 'journeys', 'halts', 'unsubscribes', 'customers',
            'entitlements'
        ],
        'commerce': ['products', 'orders', 'sessions'],
        'data_science': ['scores']
    }) }}
{%- endmacro %}


{#
    One row per line of a system's entities, of new and changed files only: entity, payload, fault, file_name,
    line_number, landed_at, received_at (as the line says, if it does).
#}
{% macro entity_rows(system) -%}
    with files as (

        select * from {{ ref('base_landing__files') }}

    ),

    {% for entity in entities()[system] %}
    {{ entity }} as (

        {{ landed_rows(source(system, entity), new_files(system ~ '/' ~ entity), landing_dir()) | indent(8) }}

    ),

    {% endfor %}
    landed as (
        {% for entity in entities()[system] %}
        select
            '{{ entity }}' as entity,
            *
        from {{ entity }}
        {% if not loop.last %}union all{% endif %}
        {% endfor %}
    ),

    parsed as (

        select
            *,
            case when fault is null then {{ parse_json('payload', ['received_at']) }} end as document
        from landed

    )

    select
        parsed.entity,
        parsed.payload,
        parsed.fault,
        parsed.file_name,
        parsed.line_number,
        coalesce(parsed.landed_at, files.modified_at) as landed_at,
        {{ try_timestamp(json_field('parsed.document', 'received_at')) }} as received_at
    from parsed
    left join files on parsed.file_name = files.file_name
{%- endmacro %}
