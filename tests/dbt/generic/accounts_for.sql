{% test accounts_for(model, raw, judged) %}

    with counted as (

        select
            (select count(*) from {{ raw }}) as raw_rows,
            (select count(*) from {{ model }}) as kept,
            (select count(*) from {{ judged }} where disposition = 'superseded') as superseded,
            (select count(*) from {{ judged }} where disposition = 'rejected') as rejected,
            (select count(*) from {{ raw }} where fault is not null) as faulty

    )

    select *
    from counted
    where raw_rows <> kept + superseded + rejected + faulty

{% endtest %}
